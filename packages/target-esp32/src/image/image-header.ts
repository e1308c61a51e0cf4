import { type Chip, chipById } from './chips.ts'

/*
 * The first 24 bytes of an image, little endian. ESP-IDF, esp_app_format.h, esp_image_header_t.
 *
 *   off size field
 *     0    1 magic 0xE9
 *     1    1 segment count, 1 to 16
 *     2    1 flash mode: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT, 4 fast read, 5 slow read
 *     3    1 low nibble: flash frequency, a table per chip; high nibble: flash size, 1 MiB << n, n 0 to 7
 *     4    4 entry point
 *     8    1 write-protect pin, 0xEE: none
 *     9    3 drive settings of the flash pins
 *    12    2 chip id
 *    14    1 least chip revision as older bootloaders read it: major on the ESP32, minor on the others
 *    15    2 least chip revision, major * 100 + minor
 *    17    2 greatest chip revision, 0 and 65535: any
 *    19    4 reserved, zero
 *    23    1 1: the SHA-256 of the image is appended
 */
export const headerBytes = 24
export const imageMagic = 0xe9
export const maxSegments = 16

export const flashModes = ['qio', 'qout', 'dio', 'dout', 'fast-read', 'slow-read'] as const
export type FlashMode = (typeof flashModes)[number]

export interface ImageHeader {
  readonly segmentCount: number
  /** Undefined for a value that is not defined. */
  readonly flashMode?: FlashMode
  readonly flashMHz?: number
  readonly flashSizeBytes?: number
  readonly entryPoint: number
  readonly chipId: number
  /** Undefined for a chip that this version does not know. */
  readonly chip?: Chip
  /** Major * 100 + minor. */
  readonly minChipRevision: number
  /** Major * 100 + minor; undefined where any newer revision will do. */
  readonly maxChipRevision?: number
  readonly hashAppended: boolean
  /** Why these bytes are hardly a header at all; empty for a good one. */
  readonly oddities: readonly string[]
}

/** Reads 24 bytes that begin with 0xE9. */
export function parseImageHeader(bytes: Uint8Array): ImageHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes)
  const segmentCount = view.getUint8(1)
  const mode = view.getUint8(2)
  const sizeCode = view.getUint8(3) >> 4
  const chipId = view.getUint16(12, true)
  const hashFlag = view.getUint8(23)
  const chip = chipById(chipId)
  const flashMode = flashModes[mode]
  const flashMHz = chip?.flashMHz[view.getUint8(3) & 0xf]
  const maxFull = view.getUint16(17, true)
  const oddities: string[] = []
  if (flashMode === undefined) oddities.push(`flash mode ${mode} (expected 0 to 5)`)
  if (sizeCode > 7) oddities.push(`flash size code ${sizeCode} (expected 0 to 7)`)
  if (hashFlag > 1) oddities.push(`hash flag ${hashFlag} (expected 0 or 1)`)
  if (view.getUint32(19, true) !== 0) oddities.push('reserved bytes that are not zero')
  return {
    segmentCount,
    ...(flashMode === undefined ? {} : { flashMode }),
    ...(flashMHz === undefined ? {} : { flashMHz }),
    ...(sizeCode > 7 ? {} : { flashSizeBytes: 0x10_0000 << sizeCode }),
    entryPoint: view.getUint32(4, true),
    chipId,
    ...(chip === undefined ? {} : { chip }),
    minChipRevision: minRevision(view.getUint16(15, true), view.getUint8(14), chipId),
    ...(maxFull === 0 || maxFull === 0xffff ? {} : { maxChipRevision: maxFull }),
    // The bootloader takes any value but 0 for yes.
    hashAppended: hashFlag !== 0,
    oddities,
  }
}

// The two-byte field came with ESP-IDF 5; images before it have the one byte alone, whose meaning differs between chips.
function minRevision(full: number, legacy: number, chipId: number): number {
  if (full !== 0) return full
  return chipId === 0 ? legacy * 100 : legacy
}

/** Values of a header to be written; revisions as major * 100 + minor. */
export interface HeaderValues {
  readonly chip: Chip
  readonly segmentCount: number
  readonly flashMode: FlashMode
  readonly frequencyCode: number
  readonly sizeCode: number
  readonly entryPoint: number
  readonly minChipRevision: number
  readonly maxChipRevision: number
  readonly hashAppended: boolean
}

export function encodeImageHeader(values: HeaderValues): Uint8Array {
  const bytes = new Uint8Array(headerBytes)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, imageMagic)
  view.setUint8(1, values.segmentCount)
  view.setUint8(2, flashModes.indexOf(values.flashMode))
  view.setUint8(3, (values.sizeCode << 4) | values.frequencyCode)
  view.setUint32(4, values.entryPoint, true)
  view.setUint8(8, 0xee)
  view.setUint16(12, values.chip.id, true)
  view.setUint8(14, values.chip.id === 0 ? Math.floor(values.minChipRevision / 100) : values.minChipRevision % 100)
  view.setUint16(15, values.minChipRevision, true)
  view.setUint16(17, values.maxChipRevision, true)
  view.setUint8(23, values.hashAppended ? 1 : 0)
  return bytes
}
