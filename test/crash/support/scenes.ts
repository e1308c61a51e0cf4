import { setTimeout as pause } from 'node:timers/promises'
import { type PullingDevice, pullingEsp32, wiredEsp32 } from './esp32-device.ts'
import type { Scene, SceneDevice } from './every-fault.ts'
import { pullingBoard, wiredBoard } from './memory-board.ts'
import { otafluxDevice } from './otaflux-device.ts'
import type { StoredDevice } from './record.ts'
import type { Releases } from './releases.ts'
import type { DeviceLine, ServerProcess } from './server-process.ts'
import type { Witness } from './witness.ts'

const id = 'unit-1'
const hourMs = 3_600_000

function pulls(device: PullingDevice, pauseMs?: number): SceneDevice {
  return {
    ...device,
    ...(pauseMs === undefined ? {} : { pauseMs }),
    async step(server: ServerProcess, url: string) {
      const before = device.truth()?.digest
      await device.visit(url)
      // Nothing is reported: that all was sent is noted when the device has gone already.
      if (pauseMs !== undefined && device.truth()?.digest !== before) await noted(server, device.deviceId)
    },
  }
}

/** Waits until the server has noted the end of a download, or is dead: it does so at once, unless the machine is very busy. */
async function noted(server: ServerProcess, deviceId: string): Promise<void> {
  for (let look = 1; look <= 500; look++) {
    const { record } = await server.ask({ do: 'record', deviceId })
    const { open, history } = (record ?? { history: [] }) as unknown as StoredDevice
    if (open === undefined && history.length > 0) return
    await pause(10)
  }
}

function isPushed(device: Witness & { readonly model: string; readonly line: DeviceLine }): SceneDevice {
  return {
    ...device,
    async step(server) {
      await server.push({ id: device.deviceId, model: device.model }, device.line)
    },
  }
}

/** Every way of an update whose device comes by itself. */
export function pullScenes({ esp32, memory }: Releases): readonly Scene[] {
  const onEsp32 = { ...esp32, target: 'esp32', attestation: 'none', listens: true } as const
  const onBoard = { ...memory, target: 'memory', attestation: 'none', listens: true } as const
  const proven = { ...onBoard, attestation: 'proven' } as const
  return [
    { name: 'pull: native, ESP32, signed', setup: onEsp32, ends: 'confirmed', device: () => pulls(pullingEsp32(id)) },
    { name: 'pull: native, ESP32, self-test fails', setup: onEsp32, ends: 'failed', device: () => pulls(pullingEsp32(id, () => false)) },
    { name: 'pull: native, proven by evidence', setup: proven, ends: 'confirmed', device: () => pulls(pullingBoard(id)) },
    { name: 'pull: OtaFlux', setup: onBoard, ends: 'unobserved', device: () => pulls(otafluxDevice(id), hourMs) },
  ]
}

/** Every way of an update that is pushed. */
export function pushScenes({ esp32, memory }: Releases): readonly Scene[] {
  const onEsp32 = { ...esp32, target: 'esp32', attestation: 'none', listens: false, port: 'flash' } as const
  const onBoard = { ...memory, target: 'memory', attestation: 'none', listens: false } as const
  const proven = { ...onBoard, attestation: 'proven' } as const
  return [
    { name: 'push: agent', setup: onBoard, ends: 'confirmed', device: () => isPushed(wiredBoard(id)) },
    { name: 'push: agent, self-test fails', setup: onBoard, ends: 'failed', device: () => isPushed(wiredBoard(id, 'fails')) },
    { name: 'push: agent, proven by evidence', setup: proven, ends: 'confirmed', device: () => isPushed(wiredBoard(id)) },
    { name: 'push: flash, ESP32, signed', setup: onEsp32, ends: 'confirmed', device: () => isPushed(wiredEsp32(id)) },
  ]
}
