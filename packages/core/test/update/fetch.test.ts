import { type ByteStream, type Cache, fetch, inspect, type Registry, resolve, type Target, verify } from '@reflash/core'
import { memoryTarget } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { repository, world } from '../composition.ts'
import { contextOf, depsOf, imageIn, walked } from './rooms.ts'

const verifiedIn = async (from: ReturnType<typeof world>, changed = {}) => {
  const deps = depsOf(from, changed)
  return verify(await resolve(`${repository}:1.1.0`, [], deps, contextOf(from)), deps, contextOf(from))
}

describe('fetch', () => {
  test('refuses an image above the limit before a byte of it is asked for', async () => {
    const from = world()
    const { layers } = from.release('1.1.0')
    const verified = await verifiedIn(from)
    await expect(fetch(verified, depsOf(from, { imageLimitBytes: 5 }), contextOf(from))).rejects.toMatchObject({
      code: 'TOO_LARGE',
      stage: 'fetch',
    })
    expect(from.registry.calls).not.toContain(`fetch ${repository}@${layers[0]?.digest}`)
  })

  test('asks the registry with the signal of the shared download, not with that of whoever came first', async () => {
    const from = world()
    from.release('1.1.0')
    const shared = new AbortController()
    const own = new AbortController()
    const seen: (AbortSignal | undefined)[] = []
    const registry: Registry = {
      ...from.registry,
      fetch: async (name, descriptor, options) => {
        seen.push(options?.signal)
        return from.registry.fetch(name, descriptor, options)
      },
    }
    const { cache } = from.composition
    const sharing: Cache = {
      ...cache,
      hold: (descriptor, open, context) => cache.hold(descriptor, () => open({ signal: shared.signal }), context),
    }
    const verified = await verifiedIn(from)
    await fetch(verified, depsOf(from, { registry, cache: sharing }), { ...contextOf(from), signal: own.signal })
    expect(seen).toEqual([shared.signal])
  })

  test('refuses a cache that holds another image than it was asked for', async () => {
    const from = world()
    from.release('1.1.0')
    const { cache } = from.composition
    const verified = await verifiedIn(from)
    const wrong: Cache = {
      ...cache,
      hold: async (descriptor, open, context) => {
        const held = await cache.hold(descriptor, open, context)
        return { ...held, descriptor: { ...held.descriptor, digest: `sha256:${'0'.repeat(64)}` } }
      },
    }
    await expect(fetch(verified, depsOf(from, { cache: wrong }), contextOf(from))).rejects.toMatchObject({ code: 'BROKEN_PLUGIN' })
  })

  test('ends with the caller', async () => {
    const from = world()
    from.release('1.1.0')
    const verified = await verifiedIn(from)
    const registry: Registry = { ...from.registry, fetch: () => new Promise<ByteStream>(() => {}) }
    const own = new AbortController()
    const fetching = fetch(verified, depsOf(from, { registry }), { ...contextOf(from), signal: own.signal })
    own.abort()
    await expect(fetching).rejects.toMatchObject({ code: 'ABORTED', fault: 'aborted' })
  })
})

describe('inspect', () => {
  test('keeps what the target said, whatever the target does to its answer afterwards', async () => {
    const info = { size: 1, model: 'board', facts: { chip: 'a' } }
    const measurements = [{ environment: { model: 'board' }, digests: [{ hashAlg: 'sha256', digest: 'aa' }] }]
    const target: Target = { ...memoryTarget(), inspect: async () => info, measure: async () => measurements }
    const { held } = await walked()
    const release = await inspect(held, { target }, { signal: new AbortController().signal, now: new Date(0) })
    info.facts.chip = 'b'
    measurements.length = 0
    expect(release.images[0]).toMatchObject({ info: { facts: { chip: 'a' } }, measurements: [{ environment: { model: 'board' } }] })
    expect(() => (release.images as unknown[]).pop()).toThrow(TypeError)
  })

  test('refuses a target that read more than there is, or cannot say how much', async () => {
    const { held, release } = await walked()
    for (const size of [imageIn(release).descriptor.size + 1, Number.NaN]) {
      const target: Target = { ...memoryTarget(), inspect: async () => ({ size, facts: null }) }
      await expect(inspect(held, { target }, { signal: new AbortController().signal, now: new Date(0) })).rejects.toMatchObject({
        code: 'SIZE_MISMATCH',
        stage: 'inspect',
      })
    }
  })
})
