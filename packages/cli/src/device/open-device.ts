import type { ChipName } from '@reflash/target-esp32'
import { openVirtualEsp32 } from '@reflash/target-esp32/testing'
import { type AgentOptions, type DeviceAgent, deviceAgent } from './device-agent.ts'
import { lockDevice } from './device-lock.ts'
import { deviceMemory } from './device-memory.ts'
import { nativeServer } from './native-server.ts'
import { virtualHardware } from './virtual-hardware.ts'

export interface OpenDeviceOptions extends Pick<AgentOptions, 'selfTest' | 'onEvent' | 'now'> {
  readonly server: string
  readonly id: string
  readonly chip: ChipName
  readonly token?: string
  /** Where flash and memory are kept. */
  readonly folder: string
}

/** A virtual device that is powered on. */
export interface OpenDevice {
  readonly agent: DeviceAgent
  close(): void
}

/**
 * Takes a state folder for this process and starts the virtual ESP32 in it.
 * @throws `DEVICE_STATE_IN_USE`, `DEVICE_STATE_INVALID`, `VIRTUAL_DEVICE`, `VIRTUAL_FLASH`, `INVALID_OPTION`
 */
export async function openDevice({ server, id, chip, token, folder, ...options }: OpenDeviceOptions): Promise<OpenDevice> {
  const connection = nativeServer({ server, deviceId: id, ...(token === undefined ? {} : { token }) })
  const lock = await lockDevice(folder)
  try {
    const device = openVirtualEsp32(folder, { chip, id })
    const agent = deviceAgent({ ...options, hardware: virtualHardware(device), memory: deviceMemory(folder), server: connection })
    return {
      agent,
      close() {
        connection.close()
        device.close()
        lock.release()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}
