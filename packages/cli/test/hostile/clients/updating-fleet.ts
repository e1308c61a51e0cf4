import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isOtaError } from '@reflash/core'
import { nativeServer } from '../../../src/device/native-server.ts'
import { openDevice } from '../../../src/device/open-device.ts'
import { chips, type FloodedServer, tokenOf } from './flooded-server.ts'

export interface Fleet {
  /** Devices that run the release and keep it, by their own word. */
  readonly confirmed: number
  /** How often a device had to begin again. */
  readonly retries: number
  /** Milliseconds of the slowest. */
  readonly slowestMs: number
}

/** Lets devices update over real sockets, each from nothing installed to confirmed, until all have or the time is over. */
export async function updateFleet(server: FloodedServer, folder: string, ids: readonly string[], limitMs: number): Promise<Fleet> {
  const signal = AbortSignal.timeout(limitMs)
  let retries = 0
  let slowestMs = 0
  const update = async (id: string): Promise<boolean> => {
    const started = performance.now()
    const device = await openDevice({
      connection: nativeServer({ server: server.url, deviceId: id, token: tokenOf(id) }),
      id,
      chip: chips.devices,
      folder: join(folder, id),
      selfTest: () => true,
      now: () => new Date(),
    })
    try {
      while (!signal.aborted) {
        try {
          const { is, installed } = await device.agent.checkIn(signal)
          if (is === 'confirmed' || (is === 'up-to-date' && installed?.version === '1.0.0')) {
            slowestMs = Math.max(slowestMs, Math.round(performance.now() - started))
            return true
          }
        } catch (error) {
          if (!isOtaError(error) || (error.fault !== 'unavailable' && error.fault !== 'aborted')) throw error
          retries += 1
        }
        await pause(100)
      }
      return false
    } finally {
      await device.close()
    }
  }
  const done = await Promise.all(ids.map(update))
  return { confirmed: done.filter(Boolean).length, retries, slowestMs }
}
