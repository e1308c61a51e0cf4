import { createGateway, createRollout, type Journal, OtaError } from '@reflash/core'
import { memoryFleet, memoryJournal } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, world } from '../composition.ts'

const by = { by: 'ann' }
const at = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })

/** A wave of four devices that are offered 1.1.0, of which the first two have failed; `journal` is what the ticker reads. */
async function failingWave(journal: (real: Journal) => Journal = (real) => real) {
  const real = memoryJournal()
  const fleet = memoryFleet()
  const from = world({ fleet, journal: real })
  from.release('1.0.0')
  from.release('1.1.0')
  const gateway = createGateway(from.composition)
  const rollout = createRollout(createGateway({ ...from.composition, journal: journal(real) }).composition)
  const ticker = rollout.ticker({ holder: 'one' })
  const ids = ['d0', 'd1', 'd2', 'd3']
  for (const id of ids) await gateway.checkIn(principal(id), at('1.0.0'))
  await rollout.create({ id: 'roll', version: '1.1.0', waves: [100], failurePercent: 50 }, by)
  await ticker.tick()
  from.clock.advance(1_500)
  for (const id of ids) expect((await gateway.checkIn(principal(id), at('1.0.0'))).offer?.seq).toBe(1)
  for (const id of ids.slice(0, 2)) await gateway.report(principal(id), 1, { state: 'failed' })
  from.clock.advance(60_000)
  return { ...from, gateway, real, rollout, ticker }
}

describe('a ticker', () => {
  test('pauses a deployment whose devices fail, though the record of one of them is damaged', async () => {
    const { real, rollout, ticker } = await failingWave()
    const entry = await real.get('device/d2')
    await real.put('device/d2', { v: 7 }, { ifVersion: entry?.version ?? null })
    expect((await ticker.tick()).steps).toMatchObject([{ deployment: 'roll', do: 'pause' }])
    expect((await rollout.show('roll')).state).toBe('paused')
  })

  test('counts the lost end of a device that comes behind a damaged record', async () => {
    const { real, rollout, ticker, composition } = await failingWave()
    const entry = await real.get('device/d2')
    await real.put('device/d2', { v: 7 }, { ifVersion: entry?.version ?? null })
    const { fleet = memoryFleet() } = composition
    const dying = createGateway({ ...composition, fleet: { ...fleet, settle: async () => Promise.reject(down()) }, onEvent: () => {} })
    await dying.report(principal('d3'), 1, { state: 'failed' })
    await ticker.tick()
    expect((await rollout.show('roll')).counters).toMatchObject({ failed: 3, offered: 1 })
  })

  test('pauses a deployment whose devices fail, though the journal does not answer', async () => {
    const { rollout, ticker } = await failingWave((real) => ({ ...real, get: async () => Promise.reject(down()) }))
    await ticker.tick().catch(() => undefined)
    expect((await rollout.show('roll')).state).toBe('paused')
  })

  test('counts a lost end that was offered before the clock was set back', async () => {
    const { rollout, ticker, composition, clock } = await failingWave()
    const { fleet = memoryFleet() } = composition
    const dying = createGateway({ ...composition, fleet: { ...fleet, settle: async () => Promise.reject(down()) }, onEvent: () => {} })
    await dying.report(principal('d3'), 1, { state: 'failed' })
    clock.advance(-7_200_000)
    await rollout.ticker({ holder: 'two' }).tick()
    await ticker.tick()
    expect((await rollout.show('roll')).counters).toMatchObject({ failed: 3, offered: 1 })
  })

  test.each([0, 60_000])('opens the next wave after its %d ms, also where the clock was set back a year meanwhile', async (waveMs) => {
    const { rollout, ticker, gateway, clock, release } = await failingWave()
    release('1.2.0')
    await rollout.create({ id: 'next', version: '1.2.0', waves: [25, 100], waveMs }, by)
    expect((await ticker.tick()).steps).toMatchObject([{ deployment: 'next', do: 'start' }, {}])
    clock.advance(1_500)
    let offered = 0
    for (const id of ['d0', 'd1', 'd2', 'd3']) {
      const { offer } = await gateway.checkIn(principal(id), at('1.0.0'))
      if (offer?.version !== '1.2.0') continue
      offered += 1
      await gateway.report(principal(id), offer.seq, { state: 'confirmed' })
    }
    expect(offered).toBe(1)
    clock.advance(-365 * 86_400_000)
    const steps = async () => (await ticker.tick()).steps.map((step) => step.do)
    expect(await steps()).toEqual([])
    clock.advance(waveMs)
    expect(await steps()).toEqual(['start'])
    expect((await rollout.audit({ subject: 'next', limit: 9 })).map(({ action }) => action)).toEqual(['start', 'wait', 'start', 'create'])
  })

  test('takes over from one that died and whose clock was ahead, within an hour', async () => {
    const { rollout, ticker, clock } = await failingWave()
    clock.advance(86_400_000)
    expect((await ticker.tick()).leads).toBe(true)
    clock.advance(-86_400_000)
    expect((await rollout.ticker({ holder: 'two' }).tick()).leads).toBe(true)
  })
})

function down(): OtaError {
  return new OtaError('JOURNAL_UNAVAILABLE', 'unavailable', 'expected a journal, found none')
}
