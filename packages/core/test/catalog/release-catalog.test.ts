import {
  compose,
  createGateway,
  OtaError,
  type Platform,
  parsePlatform,
  type Registry,
  type SignatureVerifier,
  type Target,
} from '@reflash/core'
import { memoryJournal, memoryTarget } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, repository, world } from '../composition.ts'

const { signal } = new AbortController()
const target = memoryTarget()
const board: Platform = { os: 'custom', architecture: 'board' }
const at = (version: string) => ({ model: 'board', installed: { version } })
const forever = (): Promise<never> => new Promise(() => {})
const silentTags = (): AsyncIterable<string> => ({ [Symbol.asyncIterator]: () => ({ next: forever }) })

/** A catalog whose registry a test may change under it. */
function scene(change: (registry: Registry) => Partial<Registry> = () => ({}), options: Parameters<typeof world>[0] = {}) {
  const { release: publish, ...from } = world(options)
  const registry: Registry = { ...from.registry, ...change(from.registry) }
  const composition = compose({ ...from.composition, registry })
  const { catalog } = composition
  return {
    ...from,
    publish,
    options: { ...from.composition, registry },
    catalog,
    composition,
    versions: async () => catalog.versions(repository, signal),
    release: async (tag: string, platforms: readonly Platform[] = [board]) => catalog.release(repository, tag, platforms, target, signal),
    asked: (start: string): number => from.registry.calls.filter((call) => call.startsWith(start)).length,
    walks: (): number => from.events.filter((event) => event.type === 'release' && event.stage === 'resolve').length,
  }
}

describe('a release of the catalog', () => {
  test('is walked through the line once for all who ask, though the first of them leaves', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    const from = scene((registry) => ({ fetch: async (...args) => gate.then(() => registry.fetch(...args)) }))
    from.publish('1.1.0')
    await from.versions()
    const first = new AbortController()
    const leaving = Promise.resolve(from.catalog.release(repository, '1.1.0', [board], target, first.signal))
    const staying = Array.from({ length: 20 }, () => from.release('1.1.0'))
    first.abort()
    await expect(leaving).rejects.toMatchObject({ code: 'ABORTED' })
    open()
    expect(new Set(await Promise.all(staying)).size).toBe(1)
    expect(from.walks()).toBe(1)
  })

  test('is known by its digest as soon as it is known by its tag, so that the registry may go down in between', async () => {
    const from = scene()
    from.publish('1.1.0')
    await from.versions()
    const made = await from.release('1.1.0')
    from.registry.setOnline(false)
    expect(from.catalog.pinned(made.held.verified.resolved.reference, [board], target, signal)).toBe(made)
    const again = compose(from.options).catalog
    const { reference } = made.held.verified.resolved
    expect((await again.pinned(reference, [board], target, signal)).held.verified.version).toBe('1.1.0')
  })

  test('that was walked for one tag, platform or target is none for another', async () => {
    const from = scene()
    from.publish('1.1.0')
    from.publish('1.1.0', { tag: '9.9.9' })
    await from.versions()
    await from.release('1.1.0')
    await expect(from.release('9.9.9')).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
    const before = from.walks()
    await from.release('1.1.0', [])
    const other: Target = { ...target, name: 'other' }
    expect((await from.catalog.release(repository, '1.1.0', [board], other, signal)).target).toBe('other')
    expect(from.walks()).toBe(before + 2)
  })

  test('cannot be asked for by a platform whose name hides another', async () => {
    const from = scene()
    from.publish('1.1.0')
    await from.versions()
    for (const architecture of ['a,custom/b', 'a/b/c', 'a\nb', '']) {
      await expect(from.release('1.1.0', [{ os: 'custom', architecture }])).rejects.toMatchObject({ code: 'INVALID_PLATFORM' })
    }
  })

  test('behind a tag that was moved is another one, seen within ten seconds', async () => {
    const from = scene()
    from.publish('1.1.0', { filler: 'a' })
    await from.versions()
    const first = await from.release('1.1.0')
    from.publish('1.1.0', { filler: 'b' })
    from.clock.advance(9_500)
    await from.versions()
    const second = await from.release('1.1.0')
    expect(second.held.verified.resolved.root.digest).not.toBe(first.held.verified.resolved.root.digest)
    expect(from.catalog.pinned(first.held.verified.resolved.reference, [board], target, signal)).toBe(first)
  })

  test('that took longer than its snapshot lived is not walked again', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    let held = false
    const from = scene((registry) => ({ fetch: async (...args) => (held ? gate : Promise.resolve()).then(() => registry.fetch(...args)) }))
    from.publish('1.1.0')
    await from.versions()
    held = true
    const slow = from.release('1.1.0')
    from.clock.advance(10_000)
    await from.versions()
    from.clock.advance(10_000)
    await from.versions()
    open()
    const made = await slow
    expect(await from.release('1.1.0')).toBe(made)
    expect(from.walks()).toBe(1)
  })

  test('is asked of the registry once per snapshot and not once per check-in, and never again by who needs it now', async () => {
    const from = scene()
    from.publish('1.1.0')
    await from.versions()
    for (let poll = 0; poll < 50; poll++) await from.release('1.1.0')
    expect(from.asked('resolve')).toBe(1)
    from.clock.advance(10_000)
    await from.versions()
    expect(from.asked('resolve')).toBe(2)
    for (let poll = 0; poll < 50; poll++) await from.release('1.1.0')
    expect(from.asked('resolve')).toBe(2)
  })

  test('that is refused is refused at once until the next snapshot, and may be good then', async () => {
    const from = scene()
    const { manifest } = from.publish('1.1.0', { unsigned: true })
    await from.versions()
    for (let poll = 0; poll < 20; poll++) await expect(from.release('1.1.0')).rejects.toMatchObject({ code: 'SIGNATURE_REFUSED' })
    expect(from.walks()).toBe(1)
    from.signed.add(manifest.digest)
    from.clock.advance(10_000)
    await from.versions()
    expect((await from.release('1.1.0')).held.verified.version).toBe('1.1.0')
  })

  test('is not revived from an earlier life of its repository, which was forgotten meanwhile', async () => {
    const from = scene()
    from.publish('1.1.0', { filler: 'a' })
    await from.versions()
    await from.release('1.1.0')
    for (let other = 0; other < 10_001; other++) {
      const name = `registry.test/fw/other-${other}`
      from.registry.addContent(name, 'text/plain', new Uint8Array())
      await from.catalog.versions(name, signal)
    }
    const { manifest } = from.publish('1.1.0', { filler: 'b' })
    await from.versions()
    expect((await from.release('1.1.0')).held.verified.resolved.root.digest).toBe(manifest.digest)
  })

  test('whose verifier never answers is given up in the end, and can be asked for again', async () => {
    let answers = false
    const slow: SignatureVerifier = {
      kind: 'signature-verifier',
      name: 'slow',
      spec: 0,
      policy: 'slow',
      verify: async () => (answers ? { covers: 'root', checks: [{ name: 'SIGNED', status: 'passed' }] } : forever()),
    }
    const from = scene(undefined, { verifiers: [slow], times: { releaseMs: 20 } })
    from.publish('1.1.0')
    await from.versions()
    await expect(from.release('1.1.0')).rejects.toMatchObject({ code: 'REGISTRY_SILENT', fault: 'unavailable' })
    answers = true
    from.clock.advance(10_000)
    await from.versions()
    expect((await from.release('1.1.0')).held.verified.version).toBe('1.1.0')
  })

  test('is waited for only so long, and goes on being prepared', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>()
    const from = scene((registry) => ({ fetch: async (...args) => gate.then(() => registry.fetch(...args)) }), { times: { prepareMs: 5 } })
    from.publish('1.1.0')
    await from.versions()
    await expect(from.release('1.1.0')).rejects.toMatchObject({ code: 'PREPARING', fault: 'unavailable' })
    open()
    await expect
      .poll(async () =>
        from.release('1.1.0').then(
          () => 'made',
          () => 'not yet',
        ),
      )
      .toBe('made')
    expect(from.walks()).toBe(1)
  })

  test('of which a device makes up platforms is not prepared without limit', async () => {
    const from = scene(() => ({ fetch: forever }), { times: { prepareMs: 200 } })
    from.publish('1.1.0')
    await from.versions()
    const asked = Array.from({ length: 40 }, (_, index) =>
      from.release('1.1.0', [parsePlatform(`made-up-${index}`)]).catch((e: OtaError) => e),
    )
    const refused = await Promise.race([asked[39], asked[0]])
    expect(refused).toMatchObject({ code: 'PREPARING' })
    await Promise.all(asked)
    expect(from.walks()).toBe(0)
    expect(from.asked('resolve')).toBe(32)
  })

  test('that makes a plugin break is told as such, is not offered, and stops nobody', async () => {
    const broken: Target = {
      ...target,
      inspect: async (image, context) => {
        if (image.descriptor.size > 40) throw new RangeError('offset out of range')
        return target.inspect(image, context)
      },
    }
    const from = world({ targets: [broken] })
    from.release('1.1.0')
    from.release('1.2.0', { filler: 'x'.repeat(100) })
    const gateway = createGateway(from.composition)
    expect((await gateway.checkIn(principal('d1'), at('1.0.0'))).offer?.version).toBe('1.1.0')
    const failed = from.events.find((event) => event.type === 'release' && event.status === 'failed')
    expect(failed).toMatchObject({ stage: 'inspect', version: '1.2.0', because: [{ code: 'BROKEN_PLUGIN' }] })
  })
})

describe('closing', () => {
  test('ends all that runs, for good, and leaves no timer', async () => {
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const from = scene(() => ({
      fetch: forever,
      tags: silentTags,
    }))
    from.publish('1.1.0')
    const waiting = [
      from.versions(),
      from.catalog.tagged(repository, '1.1.0', [board], target, signal),
      from.release('1.1.0'),
      Promise.resolve(from.catalog.pinned(`${repository}@sha256:${'0'.repeat(64)}`, [board], target, signal)),
    ].map((work) =>
      work.then(
        () => 'done',
        ({ code }: OtaError) => code,
      ),
    )
    await new Promise(setImmediate)
    await from.composition.close()
    const codes = await Promise.all(waiting)
    expect(codes.slice(0, 3)).toEqual(['ABORTED', 'ABORTED', 'ABORTED'])
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length).toBe(before)
    for (const late of [
      from.versions,
      () => from.release('1.1.0'),
      () => from.catalog.tagged(repository, '1.1.0', [board], target, signal),
    ]) {
      await expect(late()).rejects.toMatchObject({ code: 'ABORTED' })
    }
  })

  test('waits for what heeds it before a plugin is closed under it', async () => {
    const order: string[] = []
    const journal = memoryJournal()
    const from = scene(
      (registry) => ({
        fetch: async (name, descriptor, options) =>
          new Promise((_, reject) => {
            options?.signal?.addEventListener('abort', () => {
              setImmediate(() => {
                order.push('work')
                reject(new OtaError('ABORTED', 'aborted', 'ended'))
              })
            })
            void registry.fetch(name, descriptor)
          }),
      }),
      { journal: { ...journal, close: async () => void order.push('journal') } },
    )
    from.publish('1.1.0')
    await from.versions()
    const work = from.release('1.1.0').catch(() => undefined)
    await new Promise(setImmediate)
    await from.composition.close()
    await work
    expect(order.at(-1)).toBe('journal')
  })
})
