import { createHash } from 'node:crypto'
import type { Reason } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { flashSectorBytes } from './flash-sector.ts'

/*
 * Partition table, at 0x8000 by default: 32-byte entries, little endian. ESP-IDF, esp_flash_partitions.h.
 *
 *   off size field
 *     0    2 AA 50
 *     2    1 type: 0 application, 1 data, 2 bootloader, 3 partition table
 *     3    1 subtype: application 00 factory, 10 to 1F ota_0 to ota_15, 20 test; data 00 otadata, 01 phy, 02 nvs
 *     4    4 offset in flash
 *     8    4 size, bytes
 *    12   16 label, padded with zeros
 *    28    4 flags: bit 0 encrypted, bit 1 read-only
 *
 * Then EB EB, 14 bytes FF and the MD5 of all entries before it; then an entry of FF; up to 0xC00 bytes in all.
 */
export const partitionTableBytes = 0xc00
export const defaultPartitionTableOffset = 0x8000
const entryBytes = 32
const appAlignBytes = 0x1_0000

export const partitionTypes = { app: 0, data: 1 } as const
export const subtypes = { factory: 0x00, ota0: 0x10, test: 0x20, otadata: 0x00, phy: 0x01, nvs: 0x02 } as const

/** A region of flash with a purpose. */
export type Partition = {
  readonly label: string
  readonly type: number
  readonly subtype: number
  /** Absolute, in flash. */
  readonly offset: number
  readonly sizeBytes: number
  readonly encrypted?: boolean
  readonly readOnly?: boolean
}

export interface PartitionTable {
  readonly partitions: readonly Partition[]
  /** Whether its MD5 was there and matched. */
  readonly md5: boolean
}

export interface TableOptions {
  /** Size of the flash: partitions beyond it are refused. */
  readonly flashBytes?: number
  /** Where the table itself lies: nothing may overlap it or what is before it; 0x8000 where absent. */
  readonly tableOffset?: number
}

/**
 * Reads and verifies a partition table: terminator, MD5, alignment, bounds, overlaps, slots without a gap.
 * @throws `PARTITION_TABLE_INVALID` with every reason
 */
export function parsePartitionTable(bytes: Uint8Array, options: TableOptions = {}): PartitionTable {
  const partitions: Partition[] = []
  const problems: string[] = []
  let md5 = false
  let terminated = false
  const end = Math.min(bytes.length - (bytes.length % entryBytes), partitionTableBytes)
  for (let at = 0; at < end; at += entryBytes) {
    const entry = bytes.subarray(at, at + entryBytes)
    if (entry.every((byte) => byte === 0xff)) {
      terminated = true
      break
    }
    if (md5) {
      problems.push(`entry ${at / entryBytes}: expected the end of the table after the MD5, found another entry`)
      break
    }
    if (entry[0] === 0xeb && entry[1] === 0xeb) {
      md5 = true
      problems.push(...md5Problems(entry, bytes.subarray(0, at)))
    } else if (entry[0] === 0xaa && entry[1] === 0x50) partitions.push(parseEntry(entry))
    else {
      problems.push(`entry ${at / entryBytes}: expected aa50, ebeb or the end, found ${Buffer.from(entry.subarray(0, 2)).toString('hex')}`)
      break
    }
  }
  if (!terminated && problems.length === 0) problems.push(`expected an entry of 0xff at the end, found none within ${end} bytes`)
  if (partitions.length === 0 && problems.length === 0) problems.push('expected at least one partition, found none: is the flash blank?')
  problems.push(...layoutProblems(partitions, options))
  if (problems.length > 0) throw invalidTable(problems)
  return { partitions, md5 }
}

function parseEntry(entry: Uint8Array): Partition {
  const view = new DataView(entry.buffer, entry.byteOffset, entryBytes)
  const label = entry.subarray(12, 28)
  const end = label.indexOf(0)
  const flags = view.getUint32(28, true)
  return {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced here
    label: new TextDecoder().decode(end < 0 ? label : label.subarray(0, end)).replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd'),
    type: view.getUint8(2),
    subtype: view.getUint8(3),
    offset: view.getUint32(4, true),
    sizeBytes: view.getUint32(8, true),
    ...((flags & 1) === 0 ? {} : { encrypted: true }),
    ...((flags & 2) === 0 ? {} : { readOnly: true }),
  }
}

function md5Problems(entry: Uint8Array, before: Uint8Array): string[] {
  const expected = createHash('md5').update(before).digest('hex')
  const found = Buffer.from(entry.subarray(16)).toString('hex')
  return found === expected ? [] : [`expected MD5 ${expected}, found ${found}`]
}

// What gen_esp32part.py and the bootloader demand; overlaps above all, because a slot inside another one is a device lost.
function layoutProblems(partitions: readonly Partition[], options: TableOptions): string[] {
  const { flashBytes = 0x1_0000_0000, tableOffset = defaultPartitionTableOffset } = options
  const lowest = tableOffset + flashSectorBytes
  const problems: string[] = []
  for (const { label, type, offset, sizeBytes } of partitions) {
    const align = type === partitionTypes.app ? appAlignBytes : flashSectorBytes
    if (offset % align !== 0) problems.push(`${label}: expected an offset aligned to ${align} bytes, found ${offset}`)
    if (type <= partitionTypes.data && offset < lowest) {
      problems.push(`${label}: expected an offset of at least ${lowest}, behind bootloader and partition table, found ${offset}`)
    }
    if (sizeBytes === 0) problems.push(`${label}: expected a size, found 0`)
    if (type === partitionTypes.app && sizeBytes % flashSectorBytes !== 0)
      problems.push(`${label}: expected whole 4096 byte sectors, found ${sizeBytes} bytes`)
    if (offset + sizeBytes > flashBytes)
      problems.push(`${label}: expected an end within ${flashBytes} bytes of flash, found ${offset + sizeBytes}`)
  }
  const sorted = [...partitions].sort((a, b) => a.offset - b.offset)
  for (const [index, next] of sorted.slice(1).entries()) {
    const before = sorted[index] as Partition
    if (before.offset + before.sizeBytes > next.offset) problems.push(`${next.label}: overlaps ${before.label}`)
  }
  const slots = partitions.filter(isOtaSlot).map(({ subtype }) => subtype - subtypes.ota0)
  if (new Set(slots).size !== slots.length) problems.push('two partitions are the same OTA slot')
  else if (slots.some((slot) => slot >= slots.length))
    problems.push(`expected OTA slots 0 to ${slots.length - 1}, found ${slots.join(', ')}`)
  const otadata = partitions.filter(isOtadata)
  if (otadata.length > 1) problems.push(`expected one otadata partition, found ${otadata.length}`)
  if (otadata.some(({ sizeBytes }) => sizeBytes < 2 * flashSectorBytes)) problems.push('otadata: expected two sectors of 4096 bytes')
  if (partitions.filter(isFactory).length > 1) problems.push('expected at most one factory partition')
  return problems
}

function invalidTable(problems: readonly string[]): Error {
  const because: Reason[] = problems.map((message) => ({ code: 'PARTITION_TABLE_INVALID', message }))
  return fail('PARTITION_TABLE_INVALID', `partition table: ${problems.join('; ')}`, { because })
}

/**
 * Encodes a partition table with its MD5, 0xC00 bytes.
 * @throws `BUILD_INVALID` where a value does not fit, `PARTITION_TABLE_INVALID` where the layout is impossible
 */
export function encodePartitionTable(partitions: readonly Partition[], options: TableOptions = {}): Uint8Array {
  const most = partitionTableBytes / entryBytes - 2
  if (partitions.length > most) throw fail('BUILD_INVALID', `expected at most ${most} partitions, found ${partitions.length}`)
  const problems = layoutProblems(partitions, options)
  if (problems.length > 0) throw invalidTable(problems)
  const bytes = new Uint8Array(partitionTableBytes).fill(0xff)
  for (const [index, partition] of partitions.entries()) bytes.set(encodeEntry(partition), index * entryBytes)
  const at = partitions.length * entryBytes
  bytes.set([0xeb, 0xeb], at)
  bytes.set(createHash('md5').update(bytes.subarray(0, at)).digest(), at + 16)
  return bytes
}

function encodeEntry({ label, type, subtype, offset, sizeBytes, encrypted, readOnly }: Partition): Uint8Array {
  const name = new TextEncoder().encode(label)
  const fits = [type, subtype].every((value) => Number.isInteger(value) && value >= 0 && value <= 0xff)
  if (name.length > 16 || !fits || !Number.isInteger(offset) || !Number.isInteger(sizeBytes) || offset < 0 || sizeBytes > 0xffff_ffff) {
    throw fail(
      'BUILD_INVALID',
      `partition ${label}: expected a label of at most 16 bytes, a type and subtype of one byte, an offset and size of four`,
    )
  }
  const bytes = new Uint8Array(entryBytes)
  const view = new DataView(bytes.buffer)
  bytes.set([0xaa, 0x50, type, subtype])
  view.setUint32(4, offset, true)
  view.setUint32(8, sizeBytes, true)
  bytes.set(name, 12)
  view.setUint32(28, (encrypted === true ? 1 : 0) | (readOnly === true ? 2 : 0), true)
  return bytes
}

export function isOtaSlot({ type, subtype }: Partition): boolean {
  return type === partitionTypes.app && subtype >= subtypes.ota0 && subtype < subtypes.ota0 + 16
}

export function isFactory({ type, subtype }: Partition): boolean {
  return type === partitionTypes.app && subtype === subtypes.factory
}

export function isOtadata({ type, subtype }: Partition): boolean {
  return type === partitionTypes.data && subtype === subtypes.otadata
}

/** The OTA slots in the order of their numbers. */
export function otaSlots({ partitions }: PartitionTable): readonly Partition[] {
  return partitions.filter(isOtaSlot).sort((a, b) => a.subtype - b.subtype)
}
