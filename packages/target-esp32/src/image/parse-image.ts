import { appDescriptionBytes } from './app-description.ts'
import type { ByteReader } from './byte-reader.ts'
import { headerBytes, type ImageHeader, imageMagic, maxSegments, parseImageHeader } from './image-header.ts'
import { readTrailer, type TrailerFacts } from './signature-sector.ts'

/** The most that the bootloader maps for one application, and so the most that a segment may reach to. ESP-IDF, esp_image_format.c. */
export const imageLimitBytes = 16 * 1024 * 1024

/** One segment: where it goes, and where it lies in the file. */
export type ImageSegment = {
  readonly loadAddress: number
  readonly lengthBytes: number
  /** File offset of its data. */
  readonly offset: number
}

/** What the file is at first sight. */
export type Form = 'empty' | 'esp32' | 'esp8266' | 'partition-table' | 'flash-dump' | 'unknown'

/** What stands in the file, not yet judged. Nothing of it grows with the size of the file. */
export interface ImageFacts {
  readonly form: Form
  readonly firstByte?: number
  readonly header?: ImageHeader
  readonly segments: readonly ImageSegment[]
  /** The declared length of the segment that the walk stopped at, because it reaches beyond 16 MiB. */
  readonly beyond?: { readonly index: number; readonly lengthBytes: number }
  /** The file ended here, while the image went on to at least `expected`. */
  readonly truncated?: { readonly expected: number; readonly found: number }
  /** The first bytes of the first segment, up to 256. */
  readonly firstData: Uint8Array
  readonly checksum?: Comparison
  readonly hash?: Comparison
  /** Bytes of the image with checksum and hash, without signature. */
  readonly endBytes?: number
  readonly trailer?: TrailerFacts
  readonly trailingBytes: number
  /** A partition table stands at 0x8000. */
  readonly partitionTable: boolean
}

export interface Comparison {
  readonly expected: string
  readonly found: string
}

/**
 * Walks a file once, to its end or, with `imageOnly`, to the end of the image in it (flash goes on after an image).
 * It never throws for what the file contains.
 */
export async function parseImage(reader: ByteReader, imageOnly = false): Promise<ImageFacts> {
  const head = await reader.take(headerBytes)
  const form = formOf(head)
  const nothing = { segments: [], firstData: new Uint8Array(0), trailingBytes: 0, partitionTable: false }
  const first = head[0] === undefined ? {} : { firstByte: head[0] }
  if (form === 'esp32') return { form, ...first, ...(await parseEsp32(reader, head, imageOnly)) }
  if (imageOnly) return { form, ...first, ...nothing }
  const dump = form === 'unknown' && (await findsBootloader(reader))
  const partitionTable = form === 'unknown' && (await findsPartitionTable(reader))
  await reader.rest()
  return { form: dump || partitionTable ? 'flash-dump' : form, ...first, ...nothing, partitionTable }
}

function formOf(head: Uint8Array): Form {
  if (head.length === 0) return 'empty'
  if (head[0] === 0xaa && head[1] === 0x50) return 'partition-table'
  // 0xEA 4: the image with which the ESP8266 boots over the air, an 0xE9 image inside.
  if (head[0] === 0xea && head[1] === 4) return 'esp8266'
  if (head[0] !== imageMagic) return 'unknown'
  // Its header has 8 bytes: where an ESP32 has pins and the chip id, the load address of the first segment stands.
  const address = head.length < 16 ? 0 : new DataView(head.buffer, head.byteOffset).getUint32(8, true)
  return address >= 0x3ffe_8000 && address < 0x4030_0000 ? 'esp8266' : 'esp32'
}

async function parseEsp32(reader: ByteReader, head: Uint8Array, imageOnly: boolean): Promise<Omit<ImageFacts, 'form' | 'firstByte'>> {
  if (head.length < headerBytes) return { ...empty(), truncated: { expected: headerBytes, found: head.length } }
  const header = parseImageHeader(head)
  const walk = await walkSegments(reader, header)
  const partial = { ...empty(), header, segments: walk.segments, firstData: walk.firstData }
  if (walk.beyond !== undefined || header.segmentCount > maxSegments) {
    if (!imageOnly) await reader.rest()
    return { ...partial, ...(walk.beyond === undefined ? {} : { beyond: walk.beyond }) }
  }
  const footBytes = 16 - (walk.endBytes % 16)
  const endBytes = walk.endBytes + footBytes + (header.hashAppended ? 32 : 0)
  const truncated = (): ImageFacts['truncated'] & object => ({ expected: endBytes, found: reader.position })
  if (walk.short) return { ...partial, truncated: truncated() }
  const foot = await reader.take(footBytes)
  if (foot.length < footBytes) return { ...partial, truncated: truncated() }
  const checksum = { expected: hexByte(walk.checksum), found: hexByte(foot[footBytes - 1] as number) }
  const expected = reader.sha256()
  const stored = header.hashAppended ? await reader.take(32) : undefined
  if (stored !== undefined && stored.length < 32) return { ...partial, checksum, truncated: truncated() }
  const hash = stored === undefined ? {} : { hash: { expected, found: Buffer.from(stored).toString('hex') } }
  const whole = { ...partial, checksum, ...hash, endBytes }
  return imageOnly ? whole : { ...whole, ...(await parseTrailer(reader)) }
}

function empty(): Omit<ImageFacts, 'form' | 'firstByte'> {
  return { segments: [], firstData: new Uint8Array(0), trailingBytes: 0, partitionTable: false }
}

interface Walk {
  readonly segments: readonly ImageSegment[]
  readonly firstData: Uint8Array
  readonly checksum: number
  /** Where the last segment that was walked ends, or would. */
  readonly endBytes: number
  readonly short: boolean
  readonly beyond?: { readonly index: number; readonly lengthBytes: number }
}

async function walkSegments(reader: ByteReader, { segmentCount }: ImageHeader): Promise<Walk> {
  const segments: ImageSegment[] = []
  let firstData: Uint8Array = new Uint8Array(0)
  let fold = 0
  const see = (part: Uint8Array): void => {
    fold ^= xorOf(part)
  }
  // A count that is out of range says nothing, yet what the first segments are helps to name the file.
  for (let index = 0; index < Math.min(segmentCount, maxSegments); index++) {
    const at = reader.position
    const raw = await reader.take(8)
    if (raw.length < 8) return { segments, firstData, checksum: fold, endBytes: at + 8, short: true }
    const view = new DataView(raw.buffer, raw.byteOffset, 8)
    const lengthBytes = view.getUint32(4, true)
    const offset = at + 8
    if (offset + lengthBytes > imageLimitBytes) {
      return { segments, firstData, checksum: fold, endBytes: offset, short: false, beyond: { index, lengthBytes } }
    }
    segments.push({ loadAddress: view.getUint32(0, true), lengthBytes, offset })
    let passed = 0
    if (index === 0) {
      firstData = await reader.take(Math.min(lengthBytes, appDescriptionBytes))
      see(firstData)
      passed = firstData.length
    }
    passed += await reader.pass(lengthBytes - passed, see)
    if (passed < lengthBytes) return { segments, firstData, checksum: fold, endBytes: offset + lengthBytes, short: true }
  }
  return { segments, firstData, checksum: 0xef ^ fold, endBytes: reader.position, short: false }
}

async function parseTrailer(reader: ByteReader): Promise<Pick<ImageFacts, 'trailer' | 'trailingBytes' | 'partitionTable'>> {
  const endBytes = reader.position
  const padding = await reader.take((4096 - (endBytes % 4096)) % 4096)
  const sha256BeforeSector = reader.sha256()
  const atTable = reader.position === tableOffset
  const sector = await reader.take(4096)
  const partitionTable = atTable ? startsTable(sector) : await findsPartitionTable(reader)
  await reader.rest()
  const trailingBytes = reader.position - endBytes
  // A sector that is not the end of the file is no signature sector.
  const isEnd = padding.length + sector.length === trailingBytes
  const trailer = isEnd ? readTrailer({ padding, sector, sha256BeforeSector }) : { damage: [], accountedBytes: 0 }
  return { trailer, trailingBytes, partitionTable }
}

/** ESP-IDF, CONFIG_PARTITION_TABLE_OFFSET, its default. */
const tableOffset = 0x8000

function startsTable(bytes: Uint8Array): boolean {
  return bytes.length >= 32 && bytes[0] === 0xaa && bytes[1] === 0x50 && (bytes[2] as number) <= 3
}

async function findsPartitionTable(reader: ByteReader): Promise<boolean> {
  if (reader.position > tableOffset) return false
  await reader.pass(tableOffset - reader.position)
  return startsTable(await reader.take(32))
}

// A dump from offset 0 has the bootloader at 0x1000 or 0x2000; on chips that have it at 0, the dump begins like an image.
async function findsBootloader(reader: ByteReader): Promise<boolean> {
  for (const offset of [0x1000, 0x2000]) {
    await reader.pass(offset - reader.position)
    const head = await reader.take(headerBytes)
    if (head.length === headerBytes && head[0] === imageMagic && isPlausible(parseImageHeader(head))) return true
  }
  return false
}

/** Whether a header is one: random bytes pass by one chance in a hundred million. */
export function isPlausible({ segmentCount, chip, oddities }: ImageHeader): boolean {
  return segmentCount >= 1 && segmentCount <= maxSegments && chip !== undefined && oddities.length === 0
}

/** XOR of all bytes, four at a time where they are aligned. */
function xorOf(bytes: Uint8Array): number {
  let fold = 0
  let index = 0
  if (bytes.length > 64) {
    for (; (bytes.byteOffset + index) % 4 !== 0; index++) fold ^= bytes[index] as number
    const view = new Uint32Array(bytes.buffer, bytes.byteOffset + index, (bytes.length - index) >> 2)
    let word = 0
    for (let at = 0; at < view.length; at++) word ^= view[at] as number
    fold ^= word ^ (word >>> 8) ^ (word >>> 16) ^ (word >>> 24)
    index += view.length * 4
  }
  for (; index < bytes.length; index++) fold ^= bytes[index] as number
  return fold & 0xff
}

function hexByte(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`
}
