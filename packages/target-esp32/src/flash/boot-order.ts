import { activeEntry, type Otadata, slotOfSequence } from './otadata.ts'
import { isFactory, otaSlots, type Partition, type PartitionTable, partitionTypes, subtypes } from './partition-table.ts'

/**
 * The application partitions in the order in which the bootloader tries them, until one holds a valid image. ESP-IDF,
 * bootloader_utility.c: the selected slot, then the slots below it, then the factory image, then the slots above, last the test image.
 */
export function bootOrder(table: PartitionTable, otadata: Otadata): readonly Partition[] {
  const slots = otaSlots(table)
  const factory = table.partitions.find(isFactory)
  const test = table.partitions.find(({ type, subtype }) => type === partitionTypes.app && subtype === subtypes.test)
  const active = activeEntry(otadata)
  // Without a selectable entry: the factory image, then the slots upwards; the same whether otadata is blank or damaged.
  const start = active === undefined || slots.length === 0 ? -1 : slotOfSequence(otadata[active].sequence, slots.length)
  const down = slots.slice(0, start + 1).reverse()
  const up = slots.slice(start + 1)
  return [...down, ...(factory === undefined ? [] : [factory]), ...up, ...(test === undefined ? [] : [test])]
}

/**
 * The slot that an update goes into, as esp_ota_get_next_update_partition finds it: the OTA slot after the running one, the first after the
 * last, the first where none or the factory image runs; undefined where the running slot is the only one.
 */
export function updateSlot(table: PartitionTable, running: Partition | undefined): Partition | undefined {
  const slots = otaSlots(table)
  const at = slots.findIndex(({ offset }) => offset === running?.offset)
  const next = slots[at + 1] ?? slots[0]
  return next === undefined || next.offset === running?.offset ? undefined : next
}

/** The number of an OTA slot. */
export function slotNumber({ subtype }: Partition): number {
  return subtype - subtypes.ota0
}
