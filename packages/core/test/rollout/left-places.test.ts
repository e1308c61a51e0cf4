import { createGateway, createRollout } from '@reflash/core'
import { memoryFleet } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, world } from '../composition.ts'

const by = { by: 'ann' }
const at = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })
const ids = Array.from({ length: 12 }, (_, index) => `d${index}`)

/** Twelve devices in one place, and a deployment of 1.1.0 to that place whose first wave of six has begun. */
async function begun() {
  const real = memoryFleet()
  const during: { before?: () => Promise<unknown>; after?: () => Promise<unknown> } = {}
  const awaited: typeof real.awaited = async (...call) => {
    await during.before?.()
    const counted = await real.awaited(...call)
    await during.after?.()
    return counted
  }
  const fleet = { ...real, awaited }
  const from = world({ fleet })
  from.release('1.0.0')
  from.release('1.1.0')
  const gateway = createGateway(from.composition)
  const rollout = createRollout(gateway.composition)
  const ticker = rollout.ticker({ holder: 'one' })
  for (const id of ids) await rollout.label(id, { site: 'here' }, by)
  const tick = async () => {
    const { steps } = await ticker.tick()
    // Who may still come is counted once a minute.
    from.clock.advance(60_000)
    return steps.map((step) => step.do)
  }
  const ask = (id: string, version = '1.0.0') => gateway.checkIn(principal(id), at(version))
  const leave = (id: string) => rollout.label(id, { site: 'elsewhere' }, by)
  const update = async (id: string) => {
    const { offer } = await ask(id)
    expect(offer?.version, id).toBe('1.1.0')
    await gateway.report(principal(id), offer?.seq ?? 0, { state: 'installed' })
    await ask(id, '1.1.0')
  }
  await rollout.create({ id: 'roll', version: '1.1.0', selector: { site: ['here'] }, waves: [50, 100], successPercent: 100 }, by)
  expect(await tick()).toEqual(['start'])
  const wave: string[] = []
  for (const id of ids) if ((await rollout.explain(id)).offered) wave.push(id)
  expect(wave).toHaveLength(6)
  const rest = ids.filter((id) => !wave.includes(id))
  return { rollout, ask, leave, update, tick, wave, rest, during, clock: from.clock }
}

describe('a wave whose devices leave the selector', () => {
  test('does not wait for them, whether they had been offered it or not', async () => {
    const { rollout, ask, leave, update, tick, wave, rest } = await begun()
    const [never, offered, ...staying] = wave as [string, string, ...string[]]
    expect((await ask(offered)).offer?.version).toBe('1.1.0')
    for (const id of staying) await update(id)
    expect(await tick()).toEqual([])
    await leave(never)
    await leave(offered)
    expect((await ask(offered)).because[0]?.code).toBe('NO_DEPLOYMENT')
    // What it confirmed counts, and takes no place from those who stay.
    await leave(staying[0] as string)
    expect(await tick()).toEqual(['start'])
    for (const id of rest.slice(1)) await update(id)
    expect(await tick()).toEqual([])
    await leave(rest[0] as string)
    expect(await tick()).toEqual(['stop'])
    expect(await rollout.show('roll')).toMatchObject({ state: 'finished', size: 11, counters: { confirmed: 9, withdrawn: 1 } })
  })

  test('waits for those that are still selected and have not come, and says so', async () => {
    const { rollout, update, tick, wave } = await begun()
    for (const id of wave.slice(1)) await update(id)
    expect(await tick()).toEqual([])
    expect((await rollout.waits('roll')).map(({ code }) => code)).toEqual(['WAVE_OPEN', 'NOT_COME'])
    await update(wave[0] as string)
    expect((await rollout.waits('roll')).map(({ code }) => code)).toEqual([])
    expect(await tick()).toEqual(['start'])
  })

  test('does not open the next where none of them is left to show that the release works, and says so', async () => {
    const { rollout, leave, tick, wave } = await begun()
    for (const id of wave) await leave(id)
    expect(await tick()).toEqual([])
    expect((await rollout.waits('roll')).map(({ message }) => message)).toEqual([
      '0 of 1 needed devices are confirmed',
      '6 places were left by devices that the selector does not match any more',
    ])
    await rollout.abort('roll', by)
    expect(await rollout.waits('roll')).toEqual([])
  })

  test('does not take for left who comes while they are counted', async () => {
    const { rollout, ask, update, tick, wave, rest, during } = await begun()
    for (const id of wave) await update(id)
    expect(await tick()).toEqual(['start'])
    during.before = async () => {
      for (const id of rest) expect((await ask(id)).offer?.version).toBe('1.1.0')
    }
    expect(await tick()).toEqual([])
    expect(await rollout.show('roll')).toMatchObject({ state: 'running', counters: { confirmed: 6, offered: 6 } })
  })

  test('does not take for left whose offer is taken back while they are counted', async () => {
    const { rollout, ask, leave, update, tick, wave, rest, during, clock } = await begun()
    for (const id of wave) await update(id)
    expect(await tick()).toEqual(['start'])
    const [late, gone, ...others] = rest as [string, string, ...string[]]
    for (const id of others) await update(id)
    for (const id of [late, gone]) expect((await ask(id)).offer?.version).toBe('1.1.0')
    await leave(gone)
    clock.advance(2_000)
    await ask(gone)
    // Its offer is taken back, and it is selected all the same.
    during.after = async () => {
      await leave(late)
      clock.advance(2_000)
      await ask(late)
      await rollout.label(late, { site: 'here' }, by)
    }
    expect(await tick()).toEqual([])
    expect(await rollout.show('roll')).toMatchObject({ state: 'running', counters: { confirmed: 10, withdrawn: 2 } })
  })
})
