import { fail } from '../esp32-errors.ts'
import { type Partition, partitionTypes, subtypes } from './partition-table.ts'

export interface TwoOtaOptions {
  /** 4 MiB where absent. */
  readonly flashBytes?: number
  /** Size of each slot; 0x1D0000 where absent. */
  readonly slotBytes?: number
}

const { app, data } = partitionTypes

/**
 * Two OTA slots and no factory image, as most 4 MiB products have it: nvs, otadata at 0xE000, ota_0 at 0x10000, ota_1 right after it.
 * @throws `BUILD_INVALID` where the slots are not whole blocks of 64 KiB, or do not fit into the flash
 */
export function twoOtaTable({ flashBytes = 0x40_0000, slotBytes = 0x1d_0000 }: TwoOtaOptions = {}): readonly Partition[] {
  const fits = slotBytes > 0 && slotBytes % 0x1_0000 === 0 && 0x1_0000 + 2 * slotBytes <= flashBytes
  if (!fits) throw fail('BUILD_INVALID', `slotBytes: expected blocks of 65536 bytes that fit twice into ${flashBytes}, found ${slotBytes}`)
  return [
    { label: 'nvs', type: data, subtype: subtypes.nvs, offset: 0x9000, sizeBytes: 0x5000 },
    { label: 'otadata', type: data, subtype: subtypes.otadata, offset: 0xe000, sizeBytes: 0x2000 },
    { label: 'ota_0', type: app, subtype: subtypes.ota0, offset: 0x1_0000, sizeBytes: slotBytes },
    { label: 'ota_1', type: app, subtype: subtypes.ota0 + 1, offset: 0x1_0000 + slotBytes, sizeBytes: slotBytes },
  ]
}

/** A factory image and two OTA slots of 1 MiB each: ESP-IDF's partitions_two_ota.csv. */
export function factoryAndTwoOtaTable(): readonly Partition[] {
  return [
    { label: 'nvs', type: data, subtype: subtypes.nvs, offset: 0x9000, sizeBytes: 0x4000 },
    { label: 'otadata', type: data, subtype: subtypes.otadata, offset: 0xd000, sizeBytes: 0x2000 },
    { label: 'phy_init', type: data, subtype: subtypes.phy, offset: 0xf000, sizeBytes: 0x1000 },
    { label: 'factory', type: app, subtype: subtypes.factory, offset: 0x1_0000, sizeBytes: 0x10_0000 },
    { label: 'ota_0', type: app, subtype: subtypes.ota0, offset: 0x11_0000, sizeBytes: 0x10_0000 },
    { label: 'ota_1', type: app, subtype: subtypes.ota0 + 1, offset: 0x21_0000, sizeBytes: 0x10_0000 },
  ]
}
