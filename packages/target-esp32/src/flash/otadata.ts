import { crc32 } from '@reflash/core'
import { fail } from '../esp32-errors.ts'

/*
 * otadata: two sectors of 4 KiB, one entry of 32 bytes at the start of each. ESP-IDF, esp_flash_partitions.h, esp_ota_select_entry_t.
 *
 *   off size field
 *     0    4 sequence number; slot = (sequence - 1) mod number of OTA slots; 0xFFFFFFFF: none
 *     4   20 label, unused, FF
 *    24    4 state: 0 new, 1 pending verify, 2 valid, 3 invalid, 4 aborted, 0xFFFFFFFF undefined
 *    28    4 CRC-32 of the sequence number, seeded with 0xFFFFFFFF
 */
export const otadataEntryBytes = 32
/** Offset of the CRC in an entry. Nothing counts without it, so it goes first where an entry is taken away, and comes last where one is written. */
export const otadataCrcAt = 28
/** The sequence number of a blank entry. */
export const noSequence = 0xffff_ffff
const none = noSequence

const stateCodes = { new: 0, 'pending-verify': 1, valid: 2, invalid: 3, aborted: 4, undefined: none } as const
export type OtaState = keyof typeof stateCodes
const stateNames = new Map<number, OtaState>(Object.entries(stateCodes).map(([name, code]) => [code, name as OtaState]))

/** One entry as it stands in flash. */
export interface OtadataEntry {
  readonly sequence: number
  /** `undefined` also for codes that are not defined, as ESP-IDF takes them. */
  readonly state: OtaState
  /** The bootloader may select it: a sequence number, its CRC right, and neither invalid nor aborted. */
  readonly selectable: boolean
}

/** Both entries. */
export type Otadata = readonly [OtadataEntry, OtadataEntry]

/** Reads one entry of 32 bytes. @throws `OTADATA_INVALID` where there are fewer */
export function parseOtadataEntry(bytes: Uint8Array): OtadataEntry {
  if (bytes.length < otadataEntryBytes) {
    throw fail('OTADATA_INVALID', `otadata: expected an entry of ${otadataEntryBytes} bytes, found ${bytes.length}`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, otadataEntryBytes)
  const sequence = view.getUint32(0, true)
  const state = stateNames.get(view.getUint32(24, true)) ?? 'undefined'
  const whole = sequence !== none && view.getUint32(otadataCrcAt, true) === sequenceCrc(bytes)
  return { sequence, state, selectable: whole && state !== 'invalid' && state !== 'aborted' }
}

/** @throws `BUILD_INVALID` where the sequence number is not 0 to 0xFFFFFFFE */
export function encodeOtadataEntry(sequence: number, state: OtaState): Uint8Array {
  if (!Number.isInteger(sequence) || sequence < 0 || sequence >= none) {
    throw fail('BUILD_INVALID', `otadata: expected a sequence number from 0 to ${none - 1}, found ${sequence}`)
  }
  const bytes = new Uint8Array(otadataEntryBytes).fill(0xff)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, sequence, true)
  view.setUint32(24, stateCodes[state], true)
  view.setUint32(otadataCrcAt, sequenceCrc(bytes), true)
  return bytes
}

function sequenceCrc(entry: Uint8Array): number {
  return crc32(entry.subarray(0, 4), none)
}

/** The entry that the bootloader selects: the selectable one, of two the higher sequence, the first on a tie; undefined where there is none. */
export function activeEntry([first, second]: Otadata): 0 | 1 | undefined {
  if (first.selectable && second.selectable) return first.sequence >= second.sequence ? 0 : 1
  if (first.selectable) return 0
  return second.selectable ? 1 : undefined
}

/** The slot of a sequence number; unsigned arithmetic, as the bootloader does it. */
export function slotOfSequence(sequence: number, slotCount: number): number {
  return ((sequence - 1) >>> 0) % slotCount
}

/** What is to be written where, so that the bootloader selects another slot. */
export interface OtadataChange {
  readonly entry: 0 | 1
  readonly sequence: number
}

/**
 * The change that selects `slot`, as esp_ota_set_boot_partition makes it: entry 0 where none is active, the active entry where it selects
 * the slot already, else the other entry with the next sequence number of that slot.
 * @throws `OTADATA_EXHAUSTED` beyond 0xFFFFFFFE, after four thousand million updates
 */
export function selectSlot(otadata: Otadata, slot: number, slotCount: number): OtadataChange {
  const active = activeEntry(otadata)
  if (active === undefined) return { entry: 0, sequence: slot + 1 }
  const { sequence } = otadata[active]
  if (slotOfSequence(sequence, slotCount) === slot) return { entry: active, sequence }
  const base = (slot + 1) % slotCount
  const least = base + Math.max(0, Math.ceil((sequence - base) / slotCount)) * slotCount
  // Sequence 0 selects the last slot of all; ESP-IDF never writes it, though Arduino's boot_app0 holds one.
  const next = least === 0 ? slotCount : least
  if (next >= none) throw fail('OTADATA_EXHAUSTED', `otadata: expected a sequence number below ${none}, found ${next} to be next`)
  return { entry: active === 0 ? 1 : 0, sequence: next }
}
