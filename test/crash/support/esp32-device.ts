import { digestOf } from '@reflash/core'
import { demoImage, flashPort, type VirtualEsp32, virtualEsp32 } from '@reflash/target-esp32/testing'
import { deviceAgent } from '../../../packages/cli/src/device/device-agent.ts'
import type { Remembered } from '../../../packages/cli/src/device/device-memory.ts'
import { nativeServer } from '../../../packages/cli/src/device/native-server.ts'
import type { UpdateServer } from '../../../packages/cli/src/device/update-server.ts'
import { virtualHardware } from '../../../packages/cli/src/device/virtual-hardware.ts'
import type { DeviceLine } from './server-process.ts'
import { notedReports, type Witness } from './witness.ts'

/** A device that pulls: it comes when it is told, to wherever its server is now. */
export interface PullingDevice extends Witness {
  /** One visit, as far as it goes. @throws what its client throws where the server is gone, or not able */
  visit(url: string): Promise<void>
  close(): void
}

const imageBytes = 16 * 1024
const chip = 'esp32s3'

/** The image of a version, as it is pushed. */
export const esp32Image = (version: string): Uint8Array => demoImage({ chip, version, sizeBytes: imageBytes })

/** Downloads are not tried again by the client: the device is, by the test. */
export const impatient = { downloadAttempts: 1, backoffMs: 1, idleTimeoutMs: 5_000 }

function esp32At(id: string): VirtualEsp32 {
  const device = virtualEsp32({ chip, id })
  device.provision(esp32Image('1.0.0'))
  device.boot()
  return device
}

function truthOf(device: VirtualEsp32): ReturnType<Witness['truth']> {
  const { booted, running, flash } = device
  if (booted.is !== 'running' || running === undefined) return undefined
  // Read from the flash, and not from what the device says.
  return {
    digest: digestOf(flash.read(running.offset, imageBytes)),
    isKept: !booted.pendingVerify && device.state().installed?.state !== 'pending',
  }
}

/** A virtual ESP32 with the update code of `reflash device`, which keeps its memory whatever becomes of the server. */
export function pullingEsp32(id: string, selfTest: () => boolean = () => true): PullingDevice {
  const device = esp32At(id)
  let remembered: Remembered = { versions: {} }
  const memory = {
    read: () => remembered,
    write(next: Remembered) {
      remembered = next
    },
  }
  const { accepted, note } = notedReports()
  let current: ReturnType<typeof nativeServer> | undefined
  let currentUrl: string | undefined
  const now = (): UpdateServer => current as UpdateServer
  const server: UpdateServer = {
    checkIn: (...call) => now().checkIn(...call),
    download: (...call) => now().download(...call),
    async report(seq, report, signal) {
      await now().report(seq, report, signal)
      note(seq, report)
    },
  }
  const agent = deviceAgent({ hardware: virtualHardware(device), memory, server, selfTest, now: () => new Date() })
  return {
    deviceId: id,
    accepted,
    truth: () => truthOf(device),
    async visit(url) {
      if (url !== currentUrl) {
        current?.close()
        current = nativeServer({ server: url, deviceId: id, limits: impatient })
        currentUrl = url
      }
      await agent.checkIn(new AbortController().signal)
    },
    close: () => current?.close(),
  }
}

/** A virtual ESP32 on a cable: its image keeps itself as soon as it has started. */
export function wiredEsp32(id: string): Witness & { readonly model: string; readonly line: DeviceLine } {
  const device = esp32At(id)
  const port = flashPort(device)
  const context = { signal: new AbortController().signal, now: new Date() }
  return {
    deviceId: id,
    model: chip,
    accepted: [],
    truth: () => truthOf(device),
    async line(method, args) {
      const call = port[method as 'read'] as unknown as (...all: unknown[]) => Promise<unknown>
      const value = await call(...args, context)
      if (method === 'reset' && device.booted.is === 'running' && device.booted.pendingVerify) device.markValid()
      return value
    },
  }
}
