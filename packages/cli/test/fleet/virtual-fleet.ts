import { setTimeout as pause } from 'node:timers/promises'
import { isOtaError } from '@reflash/core'
import { memoryFlash, virtualEsp32 } from '@reflash/target-esp32/testing'
import { deviceAgent } from '../../src/device/device-agent.ts'
import type { DeviceMemory, Remembered } from '../../src/device/device-memory.ts'
import { nativeServer } from '../../src/device/native-server.ts'
import { virtualHardware } from '../../src/device/virtual-hardware.ts'

export interface FleetOptions {
  /** Where devices check in; each begins with one, and goes to the next where that does not answer. */
  readonly servers: readonly string[]
  readonly count: number
  /** The image that all of them run at first, and the version that its release has. */
  readonly image: Uint8Array
  readonly version: string
  /** Whether a new image works on this device. */
  readonly works: (index: number) => boolean
  readonly pollMs: number
}

/** What one device went through. */
export interface Traveller {
  readonly id: string
  /** Numbers of the offers that it was made. */
  readonly offers: Set<number>
  readonly outcomes: string[]
  checkIns: number
}

export interface VirtualFleet {
  readonly travellers: readonly Traveller[]
  /** Lets them end what they are at, and hangs up. */
  stop(): Promise<void>
}

export const idOf = (index: number): string => `v${String(index).padStart(5, '0')}`

/** Virtual chips in this process, each with its own flash and its own connection, which check in until they are stopped. */
export function virtualFleet({ servers, count, image, version, works, pollMs }: FleetOptions): VirtualFleet {
  const ended = new AbortController()
  const { signal } = ended
  const travellers = Array.from({ length: count }, (_, index): Traveller => {
    return { id: idOf(index), offers: new Set(), outcomes: [], checkIns: 0 }
  })

  async function live(traveller: Traveller, index: number): Promise<void> {
    const { id } = traveller
    const device = virtualEsp32({ chip: 'esp32c3', id, flash: memoryFlash() })
    device.provision(image)
    device.boot()
    const { digest } = device.state().installed ?? {}
    let remembered: Remembered = { versions: digest === undefined ? {} : { [digest]: version } }
    const memory: DeviceMemory = {
      read: () => remembered,
      write: (next) => {
        remembered = next
      },
    }
    const connections = servers.map((server) => nativeServer({ server, deviceId: id, limits: { downloadAttempts: 1, backoffMs: 1 } }))
    let at = index % servers.length
    const agentAt = connections.map((server) =>
      deviceAgent({
        hardware: virtualHardware(device),
        memory,
        server,
        selfTest: () => works(index),
        onEvent: (event) => event.type === 'offered' && traveller.offers.add(event.seq),
        now: () => new Date(),
      }),
    )
    // Spread over one poll, as a fleet in the field is.
    await pause((pollMs * index) / count, undefined, { signal }).catch(() => undefined)
    while (!signal.aborted) {
      try {
        const outcome = await (agentAt[at] as (typeof agentAt)[number]).checkIn(signal)
        traveller.checkIns += 1
        if (outcome.is !== 'up-to-date' && outcome.is !== 'not-offered') traveller.outcomes.push(outcome.is)
      } catch (error) {
        if (!isOtaError(error) && !signal.aborted) throw error
        at = (at + 1) % servers.length
      }
      await pause(pollMs, undefined, { signal }).catch(() => undefined)
    }
    for (const connection of connections) connection.close()
  }

  const lives = Promise.all(travellers.map(live))
  lives.catch(() => undefined)
  return {
    travellers,
    async stop() {
      ended.abort()
      await lives
    },
  }
}
