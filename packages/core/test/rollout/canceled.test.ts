import { createGateway, createRollout, type DeviceEvent, type FleetStore, type Json, OtaError } from '@reflash/core'
import { memoryFleet, memoryJournal } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, world } from '../composition.ts'

const by = { by: 'ann' }
const d0 = principal('d0')
const at = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })

/** One device that has begun the update of a deployment. */
async function begun(report: 'downloading' | 'downloaded' = 'downloading', fleet = memoryFleet()) {
  const journal = memoryJournal()
  const from = world({ fleet, journal })
  from.release('1.0.0')
  from.release('1.1.0')
  from.release('1.2.0')
  const gateway = createGateway(from.composition)
  const rollout = createRollout(gateway.composition)
  const ask = () => gateway.checkIn(d0, at('1.0.0'))
  const later = async (ms = 1_500) => {
    from.clock.advance(ms)
    await rollout.ticker({ holder: 'one' }).tick()
    from.clock.advance(1_500)
  }
  await ask()
  await rollout.create({ id: 'roll', version: '1.1.0', waves: [100] }, by)
  await later()
  expect((await ask()).offer).toMatchObject({ seq: 1, version: '1.1.0' })
  await gateway.report(d0, 1, { state: report })
  const record = async () => (await journal.get('device/d0'))?.value as Record<string, Json>
  const told = () =>
    from.events.filter((event): event is DeviceEvent => event.type === 'device').map(({ status, because }) => [status, because[0]?.code])
  return { ...from, fleet, gateway, rollout, ask, later, record, told }
}

describe('a device that has begun an update whose deployment is aborted', () => {
  test.each(['downloading', 'downloaded'] as const)('is asked to stop after it said "%s", at each check-in, until it has', async (said) => {
    const { gateway, rollout, ask, later, record, told, fleet } = await begun(said)
    await rollout.abort('roll', by)
    await later()
    for (let times = 0; times < 2; times++) {
      const answer = await ask()
      expect(answer).toMatchObject({ cancel: 1, because: [{ code: 'SUPERSEDED' }] })
      expect(answer.offer).toBeUndefined()
    }
    expect(await record()).toMatchObject({ open: { seq: 1, cancel: { because: [{ code: 'SUPERSEDED' }] } } })
    // It may still read: it alone knows how far it is.
    expect((await gateway.read(d0, 1)).representation.fileName).not.toBe('')
    await gateway.report(d0, 1, { state: 'canceled', messages: ['Action canceled.'] })
    await gateway.report(d0, 1, { state: 'canceled', messages: ['said again'] })
    expect((await ask()).because[0]?.code).toBe('NO_DEPLOYMENT')
    const { open, history } = await record()
    expect(open).toBeUndefined()
    expect(history).toMatchObject([
      {
        seq: 1,
        outcome: 'superseded',
        tried: false,
        because: [{ code: 'SUPERSEDED' }, { code: 'CANCELED', message: expect.stringMatching(/asked to: Action canceled\.$/) }],
      },
    ])
    expect(told().filter(([, code]) => code === 'CANCEL_ASKED')).toEqual([['waiting', 'CANCEL_ASKED']])
    expect(told().at(-1)).toEqual(['superseded', 'SUPERSEDED'])
    const { counters } = await rollout.show('roll')
    expect(counters).toMatchObject({ failed: 0, offered: 0, withdrawn: 1 })
    expect(await fleet.recount('roll')).toEqual(counters)
  })

  test('goes on where it says that it cannot stop, is not asked again, and is confirmed', async () => {
    const { gateway, rollout, ask, later, record } = await begun()
    await rollout.abort('roll', by)
    await later()
    expect((await ask()).cancel).toBe(1)
    await gateway.report(d0, 1, { state: 'cancel-refused' })
    const answer = await ask()
    expect([answer.cancel, answer.offer?.seq]).toEqual([undefined, 1])
    expect(await record()).toMatchObject({ open: { cancel: { refused: true } } })
    await gateway.report(d0, 1, { state: 'installed' })
    await gateway.report(d0, 1, { state: 'confirmed' })
    expect(await record()).toMatchObject({ history: [{ seq: 1, outcome: 'confirmed' }] })
  })

  test('is not asked once it has installed: its report was on the way', async () => {
    const { gateway, rollout, ask, later } = await begun()
    await rollout.abort('roll', by)
    await later()
    expect((await ask()).cancel).toBe(1)
    await gateway.report(d0, 1, { state: 'installed' })
    expect((await ask()).cancel).toBeUndefined()
    expect((await gateway.checkIn(d0, at('1.1.0'))).because[0]?.code).toBe('NO_DEPLOYMENT')
  })

  test.each(['downloading', 'downloaded'] as const)('and is never heard of again after "%s", is waited for for an hour', async (said) => {
    const { rollout, ask, later, record } = await begun(said)
    await rollout.abort('roll', by)
    await later()
    expect((await ask()).cancel).toBe(1)
    await later(3_500_000)
    expect((await ask()).cancel).toBe(1)
    await later(100_000)
    expect((await ask()).cancel).toBeUndefined()
    expect(await record()).toMatchObject({ history: [{ outcome: 'superseded', tried: false }] })
  })
})

describe('a device that has begun an update', () => {
  test('is asked to stop where a younger deployment takes it over, and gets what that brings once it has', async () => {
    const { gateway, rollout, ask, later } = await begun()
    await rollout.create({ id: 'next', version: '1.2.0', waves: [100] }, by)
    await later()
    expect((await ask()).cancel).toBe(1)
    await gateway.report(d0, 1, { state: 'canceled' })
    expect((await ask()).offer).toMatchObject({ seq: 2, version: '1.2.0' })
  })

  test('goes on where its deployment is paused', async () => {
    const { rollout, ask, later } = await begun()
    await rollout.pause('roll', by)
    await later()
    const answer = await ask()
    expect([answer.cancel, answer.offer?.seq]).toEqual([undefined, 1])
  })

  test('goes on while the fleet store does not answer, which is asked for nothing that is known', async () => {
    const real = memoryFleet()
    let [isAway, looks] = [false, 0]
    const away = () => Promise.reject(new OtaError('FLEET_UNAVAILABLE', 'unavailable', 'expected a fleet store, found none'))
    const fleet: FleetStore = {
      ...real,
      revision: (o) => (isAway ? away() : real.revision(o)),
      deployment: (id, o) => {
        looks += 1
        return isAway ? away() : real.deployment(id, o)
      },
    }
    const { ask, clock } = await begun('downloading', fleet)
    looks = 0
    for (let times = 0; times < 3; times++) expect((await ask()).offer?.seq).toBe(1)
    expect(looks).toBe(0)
    isAway = true
    clock.advance(1_500)
    expect((await ask()).offer?.seq).toBe(1)
  })

  test('and stops though nobody has asked it to, has failed', async () => {
    const { gateway, record } = await begun()
    await gateway.report(d0, 1, { state: 'canceled' })
    expect(await record()).toMatchObject({ history: [{ outcome: 'failed', because: [{ code: 'CANCELED' }] }] })
  })

  test('and refuses what nobody has asked, goes on', async () => {
    const { gateway, ask, record } = await begun()
    await gateway.report(d0, 1, { state: 'cancel-refused' })
    expect((await ask()).offer?.seq).toBe(1)
    expect((await record()).open).not.toHaveProperty('cancel')
  })
})
