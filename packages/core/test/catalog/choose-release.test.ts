import { annotations, createGateway, type Policy } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { repositoryOf } from '../../src/catalog/repository-of.ts'
import { targetOf } from '../../src/catalog/target-of.ts'
import { memoryTarget } from '../../src/testing/index.ts'
import { principal, repository, world } from '../composition.ts'

// ---- a naive model, which shares no code with the source ----

/** major, minor, and the pre-release `beta.n`; undefined for none. */
interface Version {
  readonly major: number
  readonly minor: number
  readonly beta: number | undefined
}
interface Candidate {
  readonly version: Version
  readonly v: boolean
  readonly signed: boolean
  /** What the signed bytes say, where it is not what the tag says. */
  readonly lies: boolean
  /** The lowest version that may update directly. */
  readonly floor: Version | undefined
}

const text = ({ major, minor, beta }: Version): string => `${major}.${minor}.0${beta === undefined ? '' : `-beta.${beta}`}`
const rank = ({ major, minor, beta }: Version): number => major * 10_000 + minor * 100 + (beta ?? 99)

function expected(candidates: readonly Candidate[], channel: string, installed: Version | undefined): string | undefined {
  // Of two tags for one version the plain one counts.
  const counting = candidates.filter(
    ({ version, v }) => !v || !candidates.some((other) => !other.v && text(other.version) === text(version)),
  )
  const inChannel = counting.filter(({ version }) => version.beta === undefined || channel === 'beta')
  const highest = [...inChannel].sort((a, b) => rank(b.version) - rank(a.version)).slice(0, 16)
  const allowed = highest.filter(
    ({ version, signed, lies, floor }) =>
      signed &&
      !lies &&
      (installed === undefined || rank(version) > rank(installed)) &&
      (floor === undefined || installed === undefined || rank(installed) >= rank(floor)),
  )
  return allowed[0] === undefined ? undefined : text(allowed[0].version)
}

const version: fc.Arbitrary<Version> = fc.record({
  major: fc.integer({ min: 1, max: 3 }),
  minor: fc.nat(9),
  beta: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined, freq: 3 }),
})
const candidate: fc.Arbitrary<Candidate> = fc.record({
  version,
  v: fc.boolean(),
  signed: fc.constantFrom(true, true, true, false),
  lies: fc.constantFrom(false, false, false, true),
  floor: fc.option(version, { nil: undefined }),
})

describe('the release that a device is offered', () => {
  test('is always the highest that verifies, is in its channel, newer, and not past a floor; or none', async () => {
    const scene = fc.record({
      candidates: fc.uniqueArray(candidate, { maxLength: 24, selector: ({ version: of, v }) => `${v} ${text(of)}` }),
      channel: fc.constantFrom('stable', 'beta'),
      installed: fc.option(version, { nil: undefined }),
    })
    await fc.assert(
      fc.asyncProperty(scene, async ({ candidates, channel, installed }) => {
        const from = world({ policy: { channel } satisfies Partial<Policy> })
        from.registry.addContent(repository, 'text/plain', new Uint8Array())
        for (const { version: of, v, signed, lies, floor } of candidates) {
          const made = from.registry.addArtifact(repository, {
            content: new TextEncoder().encode(`board board\n${v}${text(of)}`),
            tag: `${v ? 'v' : ''}${text(of)}`,
            version: lies ? '0.0.1' : text(of),
            ...(floor === undefined ? {} : { annotations: { [annotations.from]: `>=${text(floor)}` } }),
          })
          if (signed) from.signed.add(made.manifest.digest)
        }
        const state = { model: 'board', ...(installed === undefined ? {} : { installed: { version: text(installed) } }) }
        const { offer, because } = await createGateway(from.composition).checkIn(principal('d1'), state)
        expect(offer?.version).toBe(expected(candidates, channel, installed))
        expect(because.length).toBeGreaterThan(0)
      }),
      { numRuns: 150 },
    )
  })

  test('is none for a device that cannot be compared or is on trial, and no release is fetched to find out', async () => {
    for (const [installed, code] of [
      [{ version: 'v1.0-3-gabcdef' }, 'VERSION_UNREADABLE'],
      [{ version: '1.0.0', state: 'pending' as const }, 'PENDING_CONFIRMATION'],
    ] as const) {
      const from = world()
      for (let minor = 1; minor < 10; minor++) from.release(`1.${minor}.0`)
      const answer = await createGateway(from.composition).checkIn(principal('d1'), { model: 'board', installed })
      expect(answer).toEqual({ pollAfterMs: 60_000, because: [{ code, message: expect.any(String) as string }] })
      expect(from.registry.calls).toEqual([`tags ${repository}`])
    }
  })

  test('is looked for among the sixteen highest, whatever a flood of tags does above', async () => {
    const from = world()
    from.release('1.1.0')
    for (let junk = 0; junk < 40; junk++) from.release(`9.${junk}.0`, { unsigned: true })
    const { offer, because } = await createGateway(from.composition).checkIn(principal('d1'), {
      model: 'board',
      installed: { version: '1.0.0' },
    })
    expect(offer).toBeUndefined()
    expect(because).toHaveLength(17)
    expect(because.at(-1)?.code).toBe('TOO_MANY_CANDIDATES')
    expect(from.registry.calls.filter((call) => call.startsWith('resolve'))).toHaveLength(16)
  })

  test('is not a lower one while a higher one cannot be reached, and is then', async () => {
    const from = world()
    from.release('1.1.0')
    const { layers } = from.release('1.2.0')
    let down = true
    const registry: typeof from.registry = {
      ...from.registry,
      fetch: async (...args) => {
        if (down && args[1].digest === layers[0]?.digest) from.registry.setOnline(false)
        try {
          return await from.registry.fetch(...args)
        } finally {
          from.registry.setOnline(true)
        }
      },
    }
    const gateway = createGateway({ ...from.composition, registry })
    const state = { model: 'board', installed: { version: '1.0.0' } }
    expect(await gateway.checkIn(principal('d1'), state)).toMatchObject({ because: [{ code: 'REGISTRY_UNAVAILABLE' }] })
    down = false
    from.clock.advance(10_000)
    expect((await gateway.checkIn(principal('d1'), state)).offer?.version).toBe('1.2.0')
  })
})

describe('the repository of a device', () => {
  const of = (id: string, model?: string) => repositoryOf('r.test/{model}/fw-{device}', { id, ...(model === undefined ? {} : { model }) })

  test('is the template with its names in it', () => {
    expect(of('d1', 'board')).toBe('r.test/board/fw-d1')
    expect(of('a.b_c__d--e', 'x')).toBe('r.test/x/fw-a.b_c__d--e')
    expect(repositoryOf('oci:/srv/releases', { id: 'Any Thing' })).toBe('oci:/srv/releases')
  })

  test.each([
    'a:1.0.0',
    `a@sha256:${'0'.repeat(64)}`,
    '../other',
    'a/b',
    'UPPER',
    '',
    '-a',
    'a.',
    'a..b',
    'a___b',
    'a b',
    'ä',
    'x'.repeat(129),
    '{device}',
  ])('cannot be named by %j', (name) => {
    for (const act of [() => of(name, 'board'), () => of('d1', name)])
      expect(act).toThrow(expect.objectContaining({ code: 'REPOSITORY_UNNAMEABLE' }))
  })

  test('cannot be named by a device that does not say its model', () => {
    expect(() => of('d1')).toThrow(expect.objectContaining({ code: 'REPOSITORY_UNNAMEABLE', fault: 'invalid' }))
  })
})

describe('the target of a device', () => {
  const [board, chip] = [memoryTarget('board'), memoryTarget('chip')]

  test('is the one that knows it; a single one serves all', () => {
    expect(targetOf({ id: 'd1', model: 'chip2' }, [board, chip])).toBe(chip)
    expect(targetOf({ id: 'd1', model: 'toaster' }, [board])).toBe(board)
    expect(() => targetOf({ id: 'd1', model: 'toaster' }, [board, chip])).toThrow(
      expect.objectContaining({ code: 'TARGET_UNKNOWN', fault: 'unsupported' }),
    )
    expect(() => targetOf({ id: 'd1' }, [board, chip])).toThrow(expect.objectContaining({ code: 'TARGET_AMBIGUOUS' }))
  })
})
