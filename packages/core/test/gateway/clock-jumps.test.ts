import { describe, expect, test } from 'vitest'
import { world } from '../composition.ts'
import { at, d1, gatewayOf, recordIn } from './pull.ts'

const dayMs = 86_400_000
const graceMs = 600_000

async function saidInstalled() {
  const from = world()
  from.release('1.1.0')
  const gateway = gatewayOf(from.composition)
  await gateway.checkIn(d1, at('1.0.0'))
  await gateway.report(d1, 1, { state: 'installed' })
  return { ...from, gateway }
}

describe('a device that said that it installed an image, and shows the old one', () => {
  test('has its time to boot from the moment on at which the clock was set back, and no more', async () => {
    const { gateway, clock, composition } = await saidInstalled()
    clock.advance(-dayMs)
    expect((await gateway.checkIn(d1, at('1.0.0'))).because[0]?.code).toBe('NOT_BOOTED')
    clock.advance(graceMs - 1)
    expect((await gateway.checkIn(d1, at('1.0.0'))).because[0]?.code).toBe('NOT_BOOTED')
    clock.advance(1)
    await gateway.checkIn(d1, at('1.0.0'))
    expect(await recordIn(composition.journal)).toMatchObject({
      history: [{ seq: 1, outcome: 'failed', because: [{ code: 'ROLLED_BACK' }] }],
    })
  })

  test('is confirmed when it shows the new one, wherever the clock is', async () => {
    for (const jumpMs of [-400 * dayMs, -3_600_000, 3_600_000, 400 * dayMs]) {
      const { gateway, clock, composition } = await saidInstalled()
      clock.advance(jumpMs)
      await gateway.checkIn(d1, at('1.1.0'))
      expect(await recordIn(composition.journal), `${jumpMs} ms`).toMatchObject({ history: [{ seq: 1, outcome: 'confirmed' }] })
    }
  })

  test('waits where another replica is a moment ahead, and nothing is written for it', async () => {
    const { gateway, clock, composition } = await saidInstalled()
    clock.advance(-1_000)
    const before = await composition.journal.get('device/d1')
    expect((await gateway.checkIn(d1, at('1.0.0'))).because[0]?.code).toBe('NOT_BOOTED')
    expect((await composition.journal.get('device/d1'))?.version).toBe(before?.version)
  })
})
