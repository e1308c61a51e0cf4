import { describe, expect, test } from 'vitest'
import { principal, repository, world } from '../composition.ts'
import { at, d1, gatewayOf, recordIn, watchedJournal } from './pull.ts'

const silent = { reports: false }

describe('a device that does not report', () => {
  test('gets nothing that was taken back since it asked first', async () => {
    const { release, composition, registry, clock } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    expect((await gateway.checkIn(d1, {}, undefined, silent)).offer?.version).toBe('1.1.0')
    registry.untag(repository, '1.1.0')
    clock.advance(10_000)
    expect(await gateway.checkIn(d1, {}, undefined, silent)).toMatchObject({ because: [{ code: 'NO_RELEASE' }] })
    await expect(gateway.read(d1, 'current')).rejects.toMatchObject({ code: 'NO_OFFER' })
    await expect(gateway.head(d1, 'current')).rejects.toMatchObject({ code: 'NO_OFFER' })
  })

  test('gets what is current where it asked an hour ago', async () => {
    const { release, composition, clock } = world()
    const old = release('1.1.0').layers[0]?.digest
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, {}, undefined, silent)
    const { layers } = release('1.2.0')
    clock.advance(3_599_000)
    expect((await gateway.head(d1, 'current')).descriptor.digest).toBe(old)
    clock.advance(1_000)
    expect((await gateway.head(d1, 'current')).descriptor.digest).toBe(layers[0]?.digest)
  })

  test('gets exactly what it was told of, and that is what is recorded, whatever is asked for in between', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    let between: (() => Promise<void>) | undefined
    const { journal } = watchedJournal(composition.journal, async () => {
      const act = between
      between = undefined
      await act?.()
    })
    const gateway = gatewayOf({ ...composition, journal })
    await gateway.checkIn(d1, {}, undefined, silent)
    between = async () => {
      release('1.2.0')
      clock.advance(60_000)
      await gateway.checkIn(d1, {}, undefined, silent)
    }
    const { representation } = await gateway.read(d1, 'current')
    expect((await recordIn(composition.journal)).open.digest).toBe(representation.descriptor.digest)
  })

  test('writes nothing for downloads of the same image, nor for a range that does not exist', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const { journal, writes } = watchedJournal(composition.journal)
    const gateway = gatewayOf({ ...composition, journal })
    await gateway.checkIn(d1, {}, undefined, silent)
    const before = writes()
    await expect(gateway.read(d1, 'current', undefined, { offset: 1_000 })).rejects.toMatchObject({ code: 'INVALID_RANGE' })
    await expect(gateway.read(d1, 'current', 'other')).rejects.toMatchObject({ code: 'NO_OFFER' })
    expect(writes()).toBe(before)
    for (let download = 0; download < 5; download++) {
      await gateway.read(d1, 'current', 'image', { offset: download })
      await gateway.sent(d1, 'current')
    }
    expect(writes()).toBe(before + 2)
  })

  test('ends once although two of its downloads end at once', async () => {
    const { release, composition, events } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.read(d1, 'current')
    await Promise.all([gateway.sent(d1, 'current'), gateway.sent(d1, 'current'), gateway.sent(d1, 1)])
    expect(events.filter((event) => event.type === 'device' && event.status === 'unobserved')).toHaveLength(1)
  })

  test('may download as often as it likes: what nobody can see fail is no failed attempt', async () => {
    const { release, composition, clock } = world()
    const gateway = gatewayOf(composition)
    for (let round = 0; round < 6; round++) {
      release(round % 2 === 0 ? '1.2.0' : '1.1.0')
      clock.advance(60_000)
      expect((await gateway.checkIn(d1, {}, undefined, silent)).offer).toBeDefined()
      await gateway.read(d1, 'current')
      await gateway.sent(d1, 'current')
    }
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.2.0')
  })

  test('that was restarted between its question and its download gets what is current, and the update is recorded', async () => {
    const { release, composition, events } = world()
    release('1.1.0')
    const { offer } = await gatewayOf(composition).checkIn(d1, {}, undefined, silent)
    const second = gatewayOf(composition)
    const { representation } = await second.read(d1, 'current')
    expect(representation.descriptor.digest).toBe(offer?.components[0]?.yields)
    await gatewayOf(composition).sent(d1, 'current')
    expect(events.at(-1)).toMatchObject({ type: 'device', status: 'unobserved', because: [{ code: 'NOT_REPORTED' }] })
  })

  test('whose download was begun and of which nothing is known an hour later has an end when it asks again', async () => {
    const { release, composition, clock, events } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, {}, undefined, silent)
    await gateway.read(d1, 'current')
    // The server died before it could note that all was sent.
    const restarted = gatewayOf(composition)
    clock.advance(3_599_000)
    await restarted.checkIn(d1, {}, undefined, silent)
    expect(await recordIn(composition.journal)).toMatchObject({ open: { seq: 1 } })
    clock.advance(1_000)
    expect((await restarted.checkIn(d1, {}, undefined, silent)).offer?.version).toBe('1.1.0')
    const record = await recordIn(composition.journal)
    expect(record.open).toBeUndefined()
    expect(record).toMatchObject({ history: [{ seq: 1, outcome: 'unobserved', tried: false, because: [{ code: 'NOT_REPORTED' }] }] })
    expect(events.filter((event) => event.type === 'device' && event.status === 'unobserved')).toHaveLength(1)
  })

  test('has an end too where the clock was set back by a day', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, {}, undefined, silent)
    await gateway.read(d1, 'current')
    clock.advance(-86_400_000)
    await gatewayOf(composition).checkIn(d1, {}, undefined, silent)
    expect(await recordIn(composition.journal)).toMatchObject({ history: [{ outcome: 'unobserved' }] })
  })
})

describe('one device id in two dialects', () => {
  test('does not lose the update that it reports of to a download in the other', async () => {
    const { release, composition, clock, events } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    await gateway.report(d1, 1, { state: 'downloading' })
    release('1.2.0')
    clock.advance(60_000)
    expect((await gateway.checkIn(d1, {}, undefined, silent)).offer?.version).toBe('1.2.0')
    await gateway.read(d1, 'current')
    await gateway.sent(d1, 'current')
    await gateway.report(d1, 1, { state: 'confirmed' })
    expect(events.at(-1)).toMatchObject({ type: 'device', stage: 'confirm', status: 'passed', seq: 1, version: '1.1.0' })
  })

  test('goes on with what the silent one began, which then ends by what is reported', async () => {
    const { release, composition, events } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.read(d1, 'current')
    const { offer } = await gateway.checkIn(d1, at('1.0.0'))
    expect(offer).toMatchObject({ seq: 1, version: '1.1.0' })
    await gateway.sent(d1, 'current')
    await gateway.report(d1, 1, { state: 'confirmed' })
    expect(events.filter((event) => event.type === 'device' && event.status === 'unobserved')).toEqual([])
    expect(events.at(-1)).toMatchObject({ type: 'device', stage: 'confirm', status: 'passed', seq: 1 })
  })

  test('replaces an offer that it has not begun, and only then', async () => {
    const { release, composition, clock, events } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    release('1.2.0')
    clock.advance(60_000)
    await gateway.checkIn(d1, {}, undefined, silent)
    await gateway.read(d1, 'current')
    await expect(gateway.read(d1, 1)).rejects.toMatchObject({ code: 'OFFER_CLOSED' })
    expect(events.at(-1)).toMatchObject({ type: 'device', stage: 'plan', status: 'passed', seq: 2, version: '1.2.0' })
    expect((await gateway.checkIn(principal('d2'), at('1.0.0'))).offer?.seq).toBe(1)
  })
})
