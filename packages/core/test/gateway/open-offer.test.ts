import { OtaError } from '@reflash/core'
import { memoryCache, memoryTarget } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, repository, world } from '../composition.ts'
import { at, d1, gatewayOf } from './pull.ts'

const later = 10_000

describe('an open offer', () => {
  test('is never a downgrade: a device that got something newer meanwhile is not offered it again', async () => {
    for (const state of ['downloading', 'downloaded'] as const) {
      const { release, composition, events } = world()
      release('1.1.0')
      const gateway = gatewayOf(composition)
      await gateway.checkIn(d1, at('1.0.0'))
      await gateway.report(d1, 1, { state })
      expect((await gateway.checkIn(d1, at('2.0.0'))).offer).toBeUndefined()
      expect(events.at(-1)).toMatchObject({ type: 'device', status: 'superseded', because: [{ code: 'DOWNGRADE' }] })
      await expect(gateway.read(d1, 1)).rejects.toMatchObject({ code: 'OFFER_CLOSED' })
    }
  })

  test('ends where its floor is no longer reached, or the device shows another model', async () => {
    const { release, composition } = world({ targets: [memoryTarget('b')] })
    release('1.1.0', { from: '>=1.0.0' })
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    expect(await gateway.checkIn(d1, at('0.9.0'))).toMatchObject({ because: [{ code: 'FLOOR_NOT_REACHED' }] })
    await gateway.checkIn(d1, at('1.0.0'))
    await gateway.report(d1, 2, { state: 'downloading' })
    const moved = await gateway.checkIn(d1, { ...at('1.0.0'), model: 'bench' })
    expect(moved.offer).toBeUndefined()
    expect(moved.because[0]?.code).toBe('WRONG_MODEL')
  })

  test('is not repeated to a device that is on trial with something else', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    expect(await gateway.checkIn(d1, at('1.0.0', { state: 'pending' }))).toEqual({
      pollAfterMs: 60_000,
      because: [{ code: 'PENDING_CONFIRMATION', message: '1.0.0 is not confirmed yet' }],
    })
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.seq).toBe(1)
  })

  test('stands while a newer release cannot be reached', async () => {
    const from = world()
    from.release('1.1.0')
    let broken: string | undefined
    const gateway = gatewayOf({
      ...from.composition,
      registry: {
        ...from.registry,
        fetch: async (...args) => {
          if (args[1].digest === broken) throw new OtaError('BLOBS_DOWN', 'unavailable', 'expected blobs, found none')
          return from.registry.fetch(...args)
        },
      },
    })
    await gateway.checkIn(d1, at('1.0.0'))
    broken = from.release('1.2.0').layers[0]?.digest
    from.clock.advance(later)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.1.0' })
    broken = undefined
    from.clock.advance(later)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 2, version: '1.2.0' })
  })

  test('gives way to a newer release once the device has given its download up', async () => {
    const { release, composition, clock, registry } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    await gateway.report(d1, 1, { state: 'downloading' })
    registry.untag(repository, '1.1.0')
    release('1.2.0')
    clock.advance(3_500_000)
    await gateway.report(d1, 1, { state: 'downloading', received: 5 })
    clock.advance(3_500_000)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.seq).toBe(1)
    clock.advance(3_600_000)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 2, version: '1.2.0' })
  })

  test('of an older policy is decided anew', async () => {
    const { release, composition } = world()
    release('1.1.0')
    await gatewayOf(composition).checkIn(d1, at('1.0.0'))
    expect((await gatewayOf(composition).checkIn(d1, at('1.0.0'))).offer?.seq).toBe(1)
    const revised = gatewayOf({ ...composition, policy: { revision: '2' } })
    expect((await revised.checkIn(d1, at('1.0.0'))).offer?.seq).toBe(2)
    expect((await revised.checkIn(d1, at('1.0.0'))).offer?.seq).toBe(2)
  })

  test('whose release is gone for good ends, costs no attempt, and the next one is offered', async () => {
    const { release, composition, registry, signed, clock } = world()
    const deleted = new Set<string>()
    const fetch: typeof registry.fetch = async (name, descriptor, options) => {
      if (deleted.has(descriptor.digest)) throw new OtaError('NOT_FOUND', 'invalid', 'expected content, found that it was deleted')
      return registry.fetch(name, descriptor, options)
    }
    const forgetful = () => ({ ...composition, cache: memoryCache(), registry: { ...registry, fetch } })
    for (const version of ['1.1.0', '1.2.0', '1.3.0', '1.4.0']) {
      const { manifest } = release(version, { filler: 'same' })
      await gatewayOf(forgetful()).checkIn(d1, at('1.0.0'))
      registry.untag(repository, version)
      deleted.add(manifest.digest)
      signed.delete(manifest.digest)
      clock.advance(later)
    }
    release('1.5.0', { filler: 'same' })
    const gateway = gatewayOf(forgetful())
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 5, version: '1.5.0' })
  })

  test('is of the image that the journal names, or it is not served', async () => {
    const { release, composition } = world()
    const old = release('1.0.0').manifest
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, at('0.9.0'))
    const { journal } = composition
    const entry = await journal.get('device/d1')
    const text = JSON.stringify(entry?.value).replace(/"reference":"[^"]*"/, `"reference":"${repository}@${old.digest}"`)
    await journal.put('device/d1', JSON.parse(text), { ifVersion: entry?.version ?? null })
    await expect(gateway.read(d1, 1)).rejects.toMatchObject({ code: 'FACTS_CORRUPT' })
    expect((await gateway.checkIn(d1, at('0.9.0'))).offer).toMatchObject({ seq: 2, version: '1.1.0' })
  })

  test('of a target that is no longer configured ends', async () => {
    const { release, composition } = world()
    release('1.1.0')
    await gatewayOf(composition).checkIn(d1, at('1.0.0'))
    const other = gatewayOf({ ...composition, targets: [{ ...memoryTarget(), name: 'other' }] })
    await expect(other.read(d1, 1)).rejects.toMatchObject({ code: 'TARGET_UNKNOWN' })
    expect((await other.checkIn(d1, at('1.0.0'))).offer?.seq).toBe(2)
  })
})

describe('a device that said "installed"', () => {
  test('and then never says what it runs ends as unobserved, and is not made to install for ever', async () => {
    const { release, composition, clock, events } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    const mute = { model: 'board' }
    for (const seq of [1, 2, 3]) {
      expect((await gateway.checkIn(d1, mute)).offer?.seq).toBe(seq)
      await gateway.report(d1, seq, { state: 'installed' })
      expect((await gateway.checkIn(d1, mute)).because[0]?.code).toBe('NOT_BOOTED')
      clock.advance(600_000)
    }
    expect(await gateway.checkIn(d1, mute)).toMatchObject({ because: [{ code: 'ATTEMPTS_EXHAUSTED' }] })
    expect(events.filter((event) => event.type === 'device' && event.status === 'unobserved')).toHaveLength(3)
  })

  test('is waited for although the clock was set back', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    await gateway.report(d1, 1, { state: 'installed' })
    clock.advance(-86_400_000)
    expect((await gateway.checkIn(d1, at('1.0.0'))).because[0]?.code).toBe('NOT_BOOTED')
    expect((await gateway.checkIn(d1, at('1.1.0'))).because[0]?.code).toBe('UP_TO_DATE')
  })

  test('is told to wait once, not at every poll', async () => {
    const { release, composition, events } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    await gateway.report(d1, 1, { state: 'installed' })
    const before = events.length
    for (let poll = 0; poll < 10; poll++) await gateway.checkIn(d1, at('1.1.0', { state: 'pending' }))
    expect(events.length - before).toBeLessThanOrEqual(1)
  })
})

describe('an image that calls itself by another version', () => {
  test('is known by its digest once it was confirmed, and is not installed again', async () => {
    const { release, composition, clock } = world()
    const { layers } = release('1.1.0')
    const gateway = gatewayOf(composition)
    const [layer] = layers
    await gateway.checkIn(d1, at('0.9.0-b1'))
    await gateway.report(d1, 1, { state: 'installed' })
    const shown = at('0.14.2-b1', { digest: layer?.digest })
    expect((await gateway.checkIn(d1, shown)).because[0]?.code).toBe('UP_TO_DATE')
    expect((await gateway.checkIn(d1, shown)).because[0]?.code).toBe('UP_TO_DATE')
    release('1.2.0')
    clock.advance(later)
    expect((await gateway.checkIn(d1, shown)).offer).toMatchObject({ seq: 2, version: '1.2.0' })
    expect((await gateway.checkIn(principal('d2'), shown)).offer?.version).toBe('1.2.0')
  })
})
