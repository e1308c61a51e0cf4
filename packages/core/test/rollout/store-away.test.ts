import { setImmediate as nextTurn } from 'node:timers/promises'
import { createGateway, type FleetStore, OtaError } from '@reflash/core'
import { memoryFleet } from '@reflash/core/testing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { principal, world } from '../composition.ts'

const at = { model: 'board', installed: { version: '1.0.0', state: 'confirmed' as const } }

describe('a server whose fleet store does not answer', () => {
  test('says so to the device and goes on: nothing that was asked is left to reject unheard, which would end the process', async () => {
    const real = memoryFleet()
    let isAway = false
    const answering = async (): Promise<void> => {
      if (isAway) throw new OtaError('FLEET_UNAVAILABLE', 'unavailable', 'expected a fleet store, found none')
    }
    const fleet: FleetStore = {
      ...real,
      revision: (o) => answering().then(() => real.revision(o)),
      device: (id, o) => answering().then(() => real.device(id, o)),
    }
    const { composition, clock, release } = world({ fleet })
    release('1.1.0')
    const gateway = createGateway(composition)
    const unheard: unknown[] = []
    const listener = (reason: unknown): void => void unheard.push(reason)
    process.on('unhandledRejection', listener)
    onTestFinished(() => void process.off('unhandledRejection', listener))
    for (const id of ['known', 'new']) {
      isAway = false
      await gateway.checkIn(principal('known'), at)
      isAway = true
      clock.advance(1_500)
      await expect(gateway.checkIn(principal(id), at)).rejects.toMatchObject({ code: 'FLEET_UNAVAILABLE' })
      await nextTurn()
    }
    expect(unheard).toEqual([])
    isAway = false
    expect((await gateway.checkIn(principal('new'), at)).because[0]?.code).toBe('NO_DEPLOYMENT')
  })
})
