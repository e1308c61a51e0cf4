import type { ChipName } from '@reflash/target-esp32'
import { openVirtualEsp32 } from '@reflash/target-esp32/testing'
import { type AgentOptions, type DeviceAgent, deviceAgent } from './device-agent.ts'
import { lockDevice } from './device-lock.ts'
import { deviceMemory } from './device-memory.ts'
import type { ServerConnection } from './update-server.ts'
import { virtualHardware } from './virtual-hardware.ts'

export interface OpenDeviceOptions extends Pick<AgentOptions, 'selfTest' | 'onEvent' | 'now'> {
  readonly connection: ServerConnection
  readonly id: string
  readonly chip: ChipName
  /** Where flash and memory are kept. */
  readonly folder: string
}

/** A virtual device that is powered on. */
export interface OpenDevice {
  readonly agent: DeviceAgent
  close(): Promise<void>
}

/**
 * Takes a state folder for this process and starts the virtual ESP32 in it.
 * @throws `DEVICE_STATE_IN_USE`, `DEVICE_STATE_INVALID`, `VIRTUAL_DEVICE`, `VIRTUAL_FLASH`
 */
export async function openDevice({ connection, id, chip, folder, ...options }: OpenDeviceOptions): Promise<OpenDevice> {
  const lock = await lockDevice(folder)
  try {
    const device = openVirtualEsp32(folder, { chip, id })
    const agent = deviceAgent({ ...options, hardware: virtualHardware(device), memory: deviceMemory(folder), server: connection })
    return {
      agent,
      async close() {
        device.close()
        lock.release()
        await connection.close()
      },
    }
  } catch (error) {
    lock.release()
    throw error
  }
}
