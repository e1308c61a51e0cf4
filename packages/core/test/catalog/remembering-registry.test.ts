import { compose, createGateway, type Descriptor, type Journal, OtaError, type Registry } from '@reflash/core'
import { memoryCache, memoryJournal } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, repository, world } from '../composition.ts'

const { signal } = new AbortController()
const d1 = principal('d1')
const at = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })
const forever = (): Promise<never> => new Promise(() => {})
const silentTags = (): AsyncIterable<string> => ({ [Symbol.asyncIterator]: () => ({ next: forever }) })

describe('after a restart', () => {
  test.each([
    ['is down', (registry: ReturnType<typeof world>['registry']) => void registry.setOnline(false), {}],
    [
      'keeps silent',
      () => undefined,
      {
        tags: silentTags,
        resolve: forever,
        fetch: forever,
      },
    ],
  ])('a registry that %s stops no device', async (_, change, answers) => {
    const from = world({ times: { answerMs: 10 } })
    from.release('1.1.0')
    await createGateway(from.composition).checkIn(d1, at('1.0.0'))
    change(from.registry)
    const gateway = createGateway({ ...from.composition, registry: { ...from.registry, ...answers } })
    expect((await gateway.checkIn(principal('d2'), at('1.0.0'))).offer?.version).toBe('1.1.0')
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.1.0' })
    const { body } = await gateway.read(d1, 1)
    expect(body).toBeInstanceOf(Uint8Array)
    expect((await gateway.health()).parts.registry).toMatchObject({ status: 'stale' })
    expect(from.events.filter((event) => event.type === 'registry')).toMatchObject([{ status: 'stale', repository }])
  })

  test('a registry that refuses us is not answered for', async () => {
    const from = world()
    from.release('1.1.0')
    await createGateway(from.composition).checkIn(d1, at('1.0.0'))
    const tags = async function* (): AsyncGenerator<string> {
      yield* []
      throw new OtaError('DENIED', 'rejected', 'expected credentials, found none')
    }
    const gateway = createGateway({ ...from.composition, registry: { ...from.registry, tags } })
    const answer = await gateway.checkIn(principal('d2'), at('1.0.0'))
    expect([answer.offer, answer.because.map(({ code }) => code)]).toEqual([undefined, ['DENIED']])
    expect((await gateway.health()).parts.registry).toMatchObject({ status: 'stale', reason: expect.stringContaining('DENIED') as string })
  })
})

describe('what is remembered', () => {
  test('is no root that failed its check: a registry that lied once is asked again', async () => {
    const from = world()
    const { manifest } = from.release('1.1.0')
    const reference = `${repository}@${manifest.digest}`
    let lies = true
    const resolve: Registry['resolve'] = async (...args) => {
      const told: Descriptor = await from.registry.resolve(...args)
      return lies ? { ...told, size: told.size + 1 } : told
    }
    const options = { ...from.composition, registry: { ...from.registry, resolve } }
    const [target] = options.targets
    if (target === undefined) throw new Error('the fixture has a target')
    const pin = async () => compose(options).catalog.pinned(reference, [], target, signal)
    await expect(pin()).rejects.toMatchObject({ code: 'TRUNCATED' })
    lies = false
    expect((await pin()).held.verified.version).toBe('1.1.0')
    from.registry.setOnline(false)
    expect((await pin()).held.verified.version).toBe('1.1.0')
  })

  test('is never more than a journal takes: ten thousand long tags stop nothing', async () => {
    const from = world()
    from.release('9.0.0')
    const long = 'x'.repeat(110)
    const tags = [...Array.from({ length: 9_999 }, (_, index) => `1.0.${index}-${long}`), '9.0.0']
    const many = {
      ...from.registry,
      tags: async function* () {
        yield* tags
      },
    }
    const options = { ...from.composition, registry: many, policy: { channel: 'x'.repeat(64) } }
    expect((await compose(options).catalog.versions(repository, signal)).tags[0]?.tag).toBe('9.0.0')
    many.tags = async function* () {
      yield* []
      throw new OtaError('DOWN', 'unavailable', 'down')
    }
    const remembering = compose({ ...options, registry: { ...many } }).catalog
    expect((await remembering.versions(repository, signal)).tags[0]?.tag).toBe('9.0.0')
  })

  test('is the highest versions where there are too many, and nothing that is no version', async () => {
    const from = world({ policy: { channel: 'stable' } })
    const tags = [
      ...Array.from({ length: 3_000 }, (_, index) => `0.0.${index}`),
      ...Array.from({ length: 500 }, (_, index) => `sha-${index}`),
      '7.0.0',
    ]
    const journal = memoryJournal()
    const listing = {
      ...from.registry,
      tags: async function* () {
        yield* tags
      },
    }
    await compose({ ...from.composition, journal, registry: listing }).catalog.versions(repository, signal)
    from.registry.setOnline(false)
    const { tags: known } = await compose({ ...from.composition, journal }).catalog.versions(repository, signal)
    expect(known).toHaveLength(2_000)
    expect(known[0]?.tag).toBe('7.0.0')
    expect(known.at(-1)?.tag).toBe('0.0.1001')
  })

  test('that cannot be written or read back is as if it were not there', async () => {
    const from = world()
    from.release('1.1.0')
    const full: Journal = {
      ...memoryJournal(),
      put: async (key) => {
        if (key.startsWith('registry/')) throw new OtaError('JOURNAL_UNAVAILABLE', 'unavailable', 'the disk is full')
        return '1'
      },
    }
    expect((await compose({ ...from.composition, journal: full }).catalog.versions(repository, signal)).tags).toHaveLength(1)
    const journal = memoryJournal()
    const options = { ...from.composition, journal, cache: memoryCache() }
    await createGateway(options).checkIn(d1, at('1.0.0'))
    for await (const key of journal.list('registry/')) {
      await journal.put(key, { mediaType: 5 }, { ifVersion: (await journal.get(key))?.version ?? null })
    }
    expect((await createGateway(options).checkIn(principal('d2'), at('1.0.0'))).offer?.version).toBe('1.1.0')
    from.registry.setOnline(false)
    for await (const key of journal.list('registry/')) {
      await journal.put(key, { mediaType: 5 }, { ifVersion: (await journal.get(key))?.version ?? null })
    }
    await expect(createGateway(options).checkIn(principal('d3'), at('1.0.0'))).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
  })
})
