import type { FlashPort, RunContext } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { bootOrder, slotNumber } from './boot-order.ts'
import { type FlashLayout, findBootable, readOtadata } from './flash-layout.ts'
import { flashSectorBytes } from './flash-sector.ts'
import { readExactly, writerWithin } from './guarded-port.ts'
import {
  activeEntry,
  encodeOtadataEntry,
  noSequence,
  type Otadata,
  type OtadataEntry,
  type OtaState,
  otadataCrcAt,
  otadataEntryBytes,
  parseOtadataEntry,
  selectSlot,
} from './otadata.ts'
import { isOtaSlot, type Partition } from './partition-table.ts'

/**
 * Writes one otadata entry: takes the CRC of the old one away, erases the sector, writes the new one but for its CRC, and its CRC last. It
 * cannot be cancelled in between; if power fails there, the other entry counts. ESP-IDF erases, and writes 32 bytes at once: cut inside, that
 * may leave sequence and CRC without the state, and an entry whose state is gone counts as one that was kept.
 * @throws `OTADATA_NOT_WRITTEN`, and what the port throws
 */
async function writeEntry(
  port: FlashPort,
  layout: FlashLayout,
  entry: 0 | 1,
  bytes: Uint8Array | undefined,
  context: RunContext,
): Promise<void> {
  const offset = layout.otadataOffset + entry * flashSectorBytes
  const label = `otadata entry ${entry}`
  const steady: RunContext = { now: context.now, signal: new AbortController().signal }
  const writer = writerWithin(port, { label, offset, sizeBytes: flashSectorBytes }, steady)
  const crc = offset + otadataCrcAt
  if (layout.otadata[entry].sequence !== noSequence) await writer.write(crc, new Uint8Array(otadataEntryBytes - otadataCrcAt))
  await writer.erase(offset, flashSectorBytes)
  const blank = new Uint8Array(otadataEntryBytes).fill(0xff)
  if (bytes !== undefined) {
    await writer.write(offset, bytes.subarray(0, otadataCrcAt))
    await expectEntry(
      port,
      label,
      offset,
      bytes.map((byte, index) => (index < otadataCrcAt ? byte : 0xff)),
      steady,
    )
    await writer.write(crc, bytes.subarray(otadataCrcAt))
  }
  await expectEntry(port, label, offset, bytes ?? blank, steady)
}

async function expectEntry(port: FlashPort, label: string, offset: number, expected: Uint8Array, context: RunContext): Promise<void> {
  const found = await readExactly(port, offset, expected.length, context)
  if (Buffer.compare(found, expected) === 0) return
  const show = (some: Uint8Array): string => Buffer.from(some).toString('hex')
  throw fail('OTADATA_NOT_WRITTEN', `${label}: expected ${show(expected)}, found ${show(found)}`)
}

/** Makes the bootloader select `slot` at its next start, with this state. */
export async function select(port: FlashPort, layout: FlashLayout, slot: Partition, state: OtaState, context: RunContext): Promise<void> {
  const { entry, sequence } = selectSlot(layout.otadata, slotNumber(slot), layout.slots.length)
  await writeEntry(port, layout, entry, encodeOtadataEntry(sequence, state), context)
}

/**
 * Makes otadata select what the bootloader starts anyway, after a fallback. Otherwise an update, written into the slot that otadata still
 * selects, would be started the moment it is complete, before it was verified and without a way back.
 */
export async function settle(port: FlashPort, layout: FlashLayout, context: RunContext): Promise<FlashLayout> {
  const running = layout.running?.partition
  if (running === undefined || bootOrder(layout.table, layout.otadata)[0]?.offset === running.offset) return layout
  if (isOtaSlot(running)) await select(port, layout, running, 'valid', context)
  else {
    // The factory image: no entry may select a slot. The active one last, so that at each step the same image is started.
    const active = layout.active ?? 0
    await writeEntry(port, layout, active === 0 ? 1 : 0, undefined, context)
    await writeEntry(port, layout, active, undefined, context)
  }
  const otadata = await readOtadata(port, layout.otadataOffset, context)
  return { ...layout, otadata, active: activeEntry(otadata) }
}

/**
 * Takes the selection back from `slot`: marks its entry invalid where the bootloader then starts another image, else selects another slot
 * that holds one.
 * @throws `NO_PREVIOUS_SLOT` where no other slot holds an image that boots
 */
export async function deselect(port: FlashPort, layout: FlashLayout, slot: Partition, context: RunContext): Promise<void> {
  const { active, otadata, table, slots } = layout
  if (active !== undefined) {
    const { sequence } = otadata[active]
    const bytes = encodeOtadataEntry(sequence, 'invalid')
    const next = await findBootable(port, bootOrder(table, withEntry(otadata, active, parseOtadataEntry(bytes))), context)
    if (next !== undefined && next.partition.offset !== slot.offset) return await writeEntry(port, layout, active, bytes, context)
  }
  const others = slots.filter(({ offset }) => offset !== slot.offset)
  const other = await findBootable(port, others, context)
  if (other === undefined) throw fail('NO_PREVIOUS_SLOT', `expected an image that boots in a slot other than ${slot.label}, found none`)
  await select(port, layout, other.partition, 'valid', context)
}

function withEntry([first, second]: Otadata, index: 0 | 1, entry: OtadataEntry): Otadata {
  return index === 0 ? [entry, second] : [first, entry]
}
