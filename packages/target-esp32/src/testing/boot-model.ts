import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { NorFlash } from './nor-flash.ts'

/*
 * How an ESP32 starts, written from ESP-IDF's bootloader_utility.c, bootloader_common_loader.c and esp_image_format.c. It decides whether an
 * update was right, so it shares no code with what writes updates: neither codec nor constant of src/flash and src/image.
 */

/** What is burned into the chip. */
export interface BootChip {
  /** `chip_id` that images must have. */
  readonly chipId: number
  /** Major * 100 + minor. */
  readonly chipRevision: number
  /** Address ranges that run from flash, end exclusive. */
  readonly mapped: readonly (readonly [number, number])[]
  readonly secureVersion: number
}

export interface BootConfig {
  readonly tableOffset: number
  /** CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE */
  readonly rollback: boolean
  /** CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK */
  readonly antiRollback: boolean
}

/** An image that was started. */
export interface Booted {
  readonly is: 'running'
  readonly slot: number | 'factory' | 'test'
  readonly offset: number
  /** Of its application descriptor; empty where it has none. */
  readonly version: string
  readonly projectName: string
  readonly secureVersion: number
  /** With checksum and hash. */
  readonly imageBytes: number
  /** The image waits for its self-test: unless it is marked valid, the next start goes back. */
  readonly pendingVerify: boolean
  /** The entry of its slot is invalid or aborted: it failed or never finished its self-test, and runs only because nothing else boots. */
  readonly dismissed: boolean
  /** Security version to be burned, because the image is marked valid. */
  readonly burnSecureVersion?: number
}

export type BootResult = Booted | { readonly is: 'unbootable'; readonly because: readonly string[] }

interface Place {
  readonly name: number | 'factory' | 'test'
  readonly at: number
  readonly size: number
}

const NONE = 0xffffffff
const NEW = 0
const PENDING = 1
const VALID = 2
const INVALID = 3
const ABORTED = 4

/** Starts the chip: chooses an image as the bootloader does, and writes to otadata what the bootloader writes. */
export function boot(flash: NorFlash, chip: BootChip, config: BootConfig): BootResult {
  const layout = loadTable(flash, config.tableOffset)
  if (typeof layout === 'string') return { is: 'unbootable', because: [layout] }
  const { slots, factory, test, otadata } = layout
  const { active, initial } = otadata === undefined ? { active: -1, initial: false } : selectEntry(flash, chip, config, layout, otadata)
  const start = otadata === undefined || active < 0 ? -1 : slotOf(seqOf(flash, otadata, active), slots.length)
  const order = [...slots.slice(0, start + 1).reverse(), factory, ...slots.slice(start + 1), test]
  const because: string[] = []
  for (const place of order) {
    if (place === undefined) continue
    const image = readImage(flash, place, chip)
    const refusal =
      typeof image === 'string'
        ? image
        : config.antiRollback && image.secureVersion < chip.secureVersion
          ? `secure version ${image.secureVersion} is below ${chip.secureVersion}`
          : undefined
    if (typeof image !== 'string' && refusal === undefined) {
      const entered = initial && otadata !== undefined && typeof place.name === 'number'
      if (entered) write(flash, otadata, 0, place.name + 1, VALID)
      const entry = entered ? 0 : place === slots[start] ? active : -1
      const to = otadata === undefined || entry < 0 ? NONE : state(flash, otadata, entry)
      const burn = config.antiRollback && to === VALID ? { burnSecureVersion: image.secureVersion } : {}
      const dismissed = entry < 0 && otadata !== undefined && wasDismissed(flash, otadata, place, slots)
      return { is: 'running', slot: place.name, offset: place.at, ...image, pendingVerify: to === PENDING, dismissed, ...burn }
    }
    because.push(`${place.name}: ${refusal}`)
  }
  return { is: 'unbootable', because: because.length > 0 ? because : ['no application partition'] }
}

function wasDismissed(flash: NorFlash, otadata: number, place: Place, slots: readonly Place[]): boolean {
  return [0, 1].some((i) => {
    if (!isDismissed(flash, otadata, i) || !crcFits(flash, otadata, i) || seqOf(flash, otadata, i) === NONE) return false
    return slots[slotOf(seqOf(flash, otadata, i), slots.length)] === place
  })
}

/** The entry that counts, -1 where none does; `initial`: nothing was ever selected, so that the image that starts is entered as valid. */
function selectEntry(
  flash: NorFlash,
  chip: BootChip,
  config: BootConfig,
  layout: Layout,
  otadata: number,
): { active: number; initial: boolean } {
  const { slots, factory } = layout
  const both = [0, 1]
  if (config.rollback) {
    for (const i of both) if (state(flash, otadata, i) === PENDING) rewrite(flash, otadata, i, ABORTED)
  }
  const initial =
    both.every((i) => seqOf(flash, otadata, i) === NONE || !crcFits(flash, otadata, i)) &&
    (config.antiRollback || (factory === undefined && both.every((i) => isDismissed(flash, otadata, i))))
  const usable = both.filter((i) => {
    if (slots.length === 0 || isDismissed(flash, otadata, i) || !crcFits(flash, otadata, i)) return false
    return !config.antiRollback || isNewEnough(flash, chip, slots[slotOf(seqOf(flash, otadata, i), slots.length)])
  })
  const active = highest(flash, otadata, usable)
  if (active >= 0 && config.rollback && state(flash, otadata, active) === NEW) rewrite(flash, otadata, active, PENDING)
  return { active, initial }
}

function highest(flash: NorFlash, otadata: number, entries: readonly number[]): number {
  const best = Math.max(...entries.map((i) => seqOf(flash, otadata, i)))
  return entries.find((i) => seqOf(flash, otadata, i) === best) ?? -1
}

function slotOf(seq: number, count: number): number {
  return ((seq - 1) >>> 0) % count
}

/** Whether the image before this one could be started: what esp_ota_check_rollback_is_possible asks. */
export function canRollBack(flash: NorFlash, chip: BootChip, config: BootConfig): boolean {
  const layout = loadTable(flash, config.tableOffset)
  if (typeof layout === 'string' || layout.otadata === undefined || layout.slots.length === 0) return false
  const { otadata, slots, factory } = layout
  const usable = [0, 1].filter((i) => isUsable(flash, otadata, i))
  const active = highest(flash, otadata, usable)
  const other = usable.find((i) => i !== active)
  const place =
    other === undefined ? (config.antiRollback ? undefined : factory) : slots[slotOf(seqOf(flash, otadata, other), slots.length)]
  if (active < 0 || place === undefined || typeof readImage(flash, place, chip) === 'string') return false
  return !config.antiRollback || isNewEnough(flash, chip, place)
}

/** What esp_ota_mark_app_valid_cancel_rollback and its opposite write: the state of the entry that is active. False where there is none. */
export function markActive(flash: NorFlash, tableOffset: number, as: 'valid' | 'invalid'): boolean {
  const layout = loadTable(flash, tableOffset)
  if (typeof layout === 'string' || layout.otadata === undefined) return false
  const { otadata } = layout
  const usable = [0, 1].filter((i) => isUsable(flash, otadata, i))
  const active = highest(flash, otadata, usable)
  if (active < 0) return false
  rewrite(flash, otadata, active, as === 'valid' ? VALID : INVALID)
  return true
}

/**
 * What firmware does that runs though its entry was dismissed, once its self-test has passed: esp_ota_set_boot_partition of its own slot, and
 * esp_ota_mark_app_valid_cancel_rollback. False where what runs is in no OTA slot.
 */
export function selectAsValid(flash: NorFlash, tableOffset: number, slot: Booted['slot']): boolean {
  const layout = loadTable(flash, tableOffset)
  if (typeof layout === 'string' || layout.otadata === undefined || typeof slot !== 'number') return false
  const { otadata, slots } = layout
  const active = highest(
    flash,
    otadata,
    [0, 1].filter((i) => isUsable(flash, otadata, i)),
  )
  let seq = slot + 1
  if (active >= 0) while (seq <= seqOf(flash, otadata, active)) seq += slots.length
  write(flash, otadata, active === 0 ? 1 : 0, seq, VALID)
  return true
}

interface Layout {
  readonly slots: readonly Place[]
  readonly factory?: Place
  readonly test?: Place
  readonly otadata?: number
}

function loadTable(flash: NorFlash, at: number): Layout | string {
  const raw = flash.read(at, 0xc00)
  const slots: Place[] = []
  const found: { factory?: Place; test?: Place; otadata?: number } = {}
  for (let i = 0; i < raw.length; i += 32) {
    const magic = u32(raw, i) & 0xffff
    if (magic === 0xffff) return { slots, ...found }
    if (magic === 0xebeb) {
      const sum = createHash('md5').update(raw.subarray(0, i)).digest()
      if (!sum.equals(raw.subarray(i + 16, i + 32))) return 'the MD5 of the partition table is wrong'
      continue
    }
    if (magic !== 0x50aa) return `partition table entry ${i / 32} has no magic`
    const [type, sub] = [raw[i + 2] as number, raw[i + 3] as number]
    const place = { at: u32(raw, i + 4), size: u32(raw, i + 8) }
    if (place.at + place.size > flash.sizeBytes) return `partition table entry ${i / 32} lies outside the flash`
    if (type === 0 && sub === 0) found.factory = { name: 'factory', ...place }
    else if (type === 0 && sub === 0x20) found.test = { name: 'test', ...place }
    else if (type === 0 && sub >= 0x10 && sub < 0x20) slots[sub - 0x10] = { name: sub - 0x10, ...place }
    else if (type === 1 && sub === 0) found.otadata = place.at
  }
  return 'the partition table has no end'
}

function readImage(
  flash: NorFlash,
  place: Place,
  chip: BootChip,
): Pick<Booted, 'version' | 'projectName' | 'secureVersion' | 'imageBytes'> | string {
  const head = flash.read(place.at, 24)
  if (head[0] !== 0xe9) return 'no image'
  if ((u32(head, 12) & 0xffff) !== chip.chipId) return `the image is for chip id ${u32(head, 12) & 0xffff}`
  const least = (head[15] as number) | ((head[16] as number) << 8)
  const most = (head[17] as number) | ((head[18] as number) << 8)
  if (chip.chipRevision < least) return `the image needs chip revision ${least}`
  if (most !== 0 && most !== 0xffff && chip.chipRevision > most) return `the image needs a chip revision up to ${most}`
  const segments = head[1] as number
  if (segments > 16) return `${segments} segments`
  const log2 = flash.read(place.at + 32 + 180, 1)[0] as number
  const page = hasDescription(flash, place.at) && log2 >= 13 && log2 <= 16 ? 1 << log2 : 0x10000
  let at = 24
  let sum = 0xef
  for (let i = 0; i < segments; i++) {
    if (at + 8 > place.size) return `segment ${i} lies outside the slot`
    const [address, length] = [u32(flash.read(place.at + at, 4), 0), u32(flash.read(place.at + at + 4, 4), 0)]
    at += 8
    if (length % 4 !== 0 || length >= 0x1000000 || at + length > place.size) return `segment ${i} has ${length} bytes`
    const isMapped = chip.mapped.some(([from, to]) => address >= from && address < to)
    if (isMapped && (place.at + at) % page !== address % page) return `segment ${i} cannot be mapped`
    for (const byte of flash.read(place.at + at, length)) sum ^= byte
    at += length
  }
  const end = (at + 16) & ~15
  if (end > place.size || flash.read(place.at + end - 1, 1)[0] !== sum) return 'the checksum is wrong'
  if (head[23] === 0) return { ...describe(flash, place.at), imageBytes: end }
  if (end + 32 > place.size) return 'the hash lies outside the slot'
  const hash = createHash('sha256').update(flash.read(place.at, end)).digest()
  if (!hash.equals(flash.read(place.at + end, 32))) return 'the hash is wrong'
  return { ...describe(flash, place.at), imageBytes: end + 32 }
}

function describe(flash: NorFlash, at: number): Pick<Booted, 'version' | 'projectName' | 'secureVersion'> {
  const raw = flash.read(at + 32, 256)
  if (!hasDescription(flash, at)) return { version: '', projectName: '', secureVersion: 0 }
  const text = (from: number): string =>
    Buffer.from(raw.subarray(from, from + 32))
      .toString('utf8')
      .split('\0')[0] as string
  return { version: text(16), projectName: text(48), secureVersion: u32(raw, 4) }
}

function hasDescription(flash: NorFlash, at: number): boolean {
  return u32(flash.read(at + 32, 4), 0) === 0xabcd5432
}

function isNewEnough(flash: NorFlash, chip: BootChip, place: Place | undefined): boolean {
  return place !== undefined && describe(flash, place.at).secureVersion >= chip.secureVersion
}

function entry(flash: NorFlash, otadata: number, i: number): Uint8Array {
  return flash.read(otadata + i * 4096, 32)
}

function seqOf(flash: NorFlash, otadata: number, i: number): number {
  return u32(entry(flash, otadata, i), 0)
}

function state(flash: NorFlash, otadata: number, i: number): number {
  return u32(entry(flash, otadata, i), 24)
}

function crcFits(flash: NorFlash, otadata: number, i: number): boolean {
  const raw = entry(flash, otadata, i)
  return u32(raw, 28) === crc32(raw.subarray(0, 4), NONE)
}

function isDismissed(flash: NorFlash, otadata: number, i: number): boolean {
  return seqOf(flash, otadata, i) === NONE || [INVALID, ABORTED].includes(state(flash, otadata, i))
}

function isUsable(flash: NorFlash, otadata: number, i: number): boolean {
  return !isDismissed(flash, otadata, i) && crcFits(flash, otadata, i)
}

function rewrite(flash: NorFlash, otadata: number, i: number, to: number): void {
  const raw = entry(flash, otadata, i)
  new DataView(raw.buffer, raw.byteOffset).setUint32(24, to, true)
  flash.erase(otadata + i * 4096, 4096)
  flash.write(otadata + i * 4096, raw)
}

function write(flash: NorFlash, otadata: number, i: number, seq: number, to: number): void {
  const raw = new Uint8Array(32).fill(0xff)
  const view = new DataView(raw.buffer)
  view.setUint32(0, seq, true)
  view.setUint32(24, to, true)
  view.setUint32(28, crc32(raw.subarray(0, 4), NONE), true)
  flash.erase(otadata + i * 4096, 4096)
  flash.write(otadata + i * 4096, raw)
}

function u32(raw: Uint8Array, at: number): number {
  return ((raw[at] as number) | ((raw[at + 1] as number) << 8) | ((raw[at + 2] as number) << 16) | ((raw[at + 3] as number) << 24)) >>> 0
}
