import { crc32, digestOf } from '@reflash/core'
import { updateSlot } from '@reflash/target-esp32'
import { agentPort, type VirtualEsp32 } from '@reflash/target-esp32/testing'
import { fail } from '../cli-errors.ts'
import type { DeviceHardware } from './device-agent.ts'

/** The hardware of a virtual ESP32: its flash, its bootloader, its own update code. */
export function virtualHardware(device: VirtualEsp32): DeviceHardware {
  return {
    id: device.id,
    port: agentPort(device),
    describe() {
      const { id: _, ...self } = device.state()
      return self
    },
    readBack(sizeBytes) {
      const slot = updateSlot({ partitions: device.partitions, md5: true }, device.running)
      if (slot === undefined) throw fail('INTERNAL', 'expected a slot beside the running one, found none')
      const bytes = device.flash.read(slot.offset, sizeBytes)
      return { digest: digestOf(bytes), crc32: crc32(bytes) }
    },
    restart: () => void device.boot(),
    keep: device.markValid,
    giveUp: () => void device.markInvalidAndRollback(),
  }
}
