import { createHash } from 'node:crypto'
import { concat } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { type AppDescription, appDescriptionBytes, encodeAppDescription, textLimits } from './app-description.ts'
import { type Chip, type ChipName, chipByName, chips } from './chips.ts'
import { encodeImageHeader, type FlashMode, flashModes, headerBytes, maxSegments } from './image-header.ts'
import { imageLimitBytes } from './parse-image.ts'

/** One segment to be put into an image. */
export interface SegmentSource {
  /** Where it goes in the memory of the chip. A segment that runs from flash needs the right offset within its 64 KiB page. */
  readonly loadAddress: number
  /** A multiple of 4 bytes. */
  readonly data: Uint8Array
}

export interface BuildOptions {
  readonly chip: ChipName
  /** 1 to 16. */
  readonly segments: readonly SegmentSource[]
  /** Put before the data of the first segment; without it the image is no application. */
  readonly appDescription?: Partial<AppDescription>
  /** The load address of the first segment where absent. */
  readonly entryPoint?: number
  /** Major * 100 + minor; 0 where absent. */
  readonly minChipRevision?: number
  /** Major * 100 + minor; any where absent. */
  readonly maxChipRevision?: number
  /** `dio` where absent. */
  readonly flashMode?: FlashMode
  /** The lowest-numbered frequency of the chip where absent. */
  readonly flashMHz?: number
  /** A power of two from 1 to 128 MiB; 4 MiB where absent. */
  readonly flashSizeBytes?: number
  /** Appends the SHA-256; true where absent. */
  readonly appendHash?: boolean
}

/**
 * Builds an image: header, segments, checksum and appended hash, as `esptool elf2image` lays them out.
 * @throws `BUILD_INVALID` where a value does not fit into its field
 */
export function buildImage(options: BuildOptions): Uint8Array {
  const chip = chipByName(options.chip)
  if (chip === undefined) throw invalid('chip', `one of ${chips.map(({ name }) => name).join(', ')}`, options.chip)
  const { appendHash = true } = options
  const segments = withDescription(options)
  if (segments.length < 1 || segments.length > maxSegments) throw invalid('segments', `1 to ${maxSegments}`, segments.length)
  for (const [index, { loadAddress, data }] of segments.entries()) {
    expectInteger(`segments[${index}].loadAddress`, loadAddress, 0xffff_ffff)
    if (data.length % 4 !== 0) throw invalid(`segments[${index}].data`, 'a multiple of 4 bytes', `${data.length} bytes`)
  }
  const parts: Uint8Array[] = [headerOf(options, chip, segments)]
  for (const { loadAddress, data } of segments) parts.push(segmentHeader(loadAddress, data.length), data)
  const bodyBytes = headerBytes + segments.reduce((sum, { data }) => sum + 8 + data.length, 0)
  if (bodyBytes > imageLimitBytes - 48) throw invalid('segments', `at most ${imageLimitBytes} bytes in all`, `${bodyBytes} bytes`)
  const foot = new Uint8Array(16 - (bodyBytes % 16))
  foot[foot.length - 1] = segments.reduce((fold, { data }) => data.reduce((sum, byte) => sum ^ byte, fold), 0xef)
  parts.push(foot)
  const image = concat(parts)
  return appendHash ? concat([image, createHash('sha256').update(image).digest()]) : image
}

function headerOf(options: BuildOptions, chip: Chip, segments: readonly SegmentSource[]): Uint8Array {
  const { entryPoint, minChipRevision = 0, maxChipRevision = 0xffff, flashMode = 'dio', flashSizeBytes = 0x40_0000 } = options
  const sizeCode = [0, 1, 2, 3, 4, 5, 6, 7].find((code) => 0x10_0000 << code === flashSizeBytes)
  if (sizeCode === undefined) throw invalid('flashSizeBytes', 'a power of two from 1 to 128 MiB', flashSizeBytes)
  if (!flashModes.includes(flashMode)) throw invalid('flashMode', `one of ${flashModes.join(', ')}`, flashMode)
  const speeds = Object.entries(chip.flashMHz)
  const speed = options.flashMHz === undefined ? speeds[0] : speeds.find(([, mhz]) => mhz === options.flashMHz)
  if (speed === undefined) throw invalid('flashMHz', `one of ${Object.values(chip.flashMHz).join(', ')} on ${chip.name}`, options.flashMHz)
  const first = segments[0]?.loadAddress ?? 0
  expectInteger('entryPoint', entryPoint ?? first, 0xffff_ffff)
  expectInteger('minChipRevision', minChipRevision, 0xffff)
  expectInteger('maxChipRevision', maxChipRevision, 0xffff)
  return encodeImageHeader({
    chip,
    segmentCount: segments.length,
    flashMode,
    frequencyCode: Number(speed[0]),
    sizeCode,
    entryPoint: entryPoint ?? first,
    minChipRevision,
    maxChipRevision,
    hashAppended: options.appendHash ?? true,
  })
}

function segmentHeader(loadAddress: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(8)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, loadAddress, true)
  view.setUint32(4, lengthBytes, true)
  return bytes
}

function withDescription({ appDescription, segments }: BuildOptions): readonly SegmentSource[] {
  if (appDescription === undefined) return segments
  const values: AppDescription = {
    secureVersion: 0,
    version: '',
    projectName: '',
    time: '',
    date: '',
    idfVersion: '',
    elfSha256: '0'.repeat(64),
    minEfuseBlockRevision: 0,
    mmuPageLog2: 0,
    ...appDescription,
  }
  for (const [field, limit] of Object.entries(textLimits)) {
    const text = values[field as keyof typeof textLimits]
    const size = new TextEncoder().encode(text).length
    if (size > limit) throw invalid(`appDescription.${field}`, `at most ${limit} bytes`, `${size} bytes`)
  }
  if (!/^[0-9a-f]{64}$/.test(values.elfSha256)) throw invalid('appDescription.elfSha256', '64 lower case hex digits', values.elfSha256)
  expectInteger('appDescription.secureVersion', values.secureVersion, 0xffff_ffff)
  expectInteger('appDescription.minEfuseBlockRevision', values.minEfuseBlockRevision, 0xffff)
  expectInteger('appDescription.maxEfuseBlockRevision', values.maxEfuseBlockRevision ?? 0, 0xffff)
  expectInteger('appDescription.mmuPageLog2', values.mmuPageLog2, 0xff)
  const [first, ...rest] = segments
  if (first === undefined) return []
  const data = new Uint8Array(appDescriptionBytes + first.data.length)
  data.set(encodeAppDescription(values))
  data.set(first.data, appDescriptionBytes)
  return [{ loadAddress: first.loadAddress, data }, ...rest]
}

function expectInteger(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 0 || value > most) throw invalid(name, `an integer from 0 to ${most}`, value)
}

function invalid(name: string, expected: string, found: unknown): Error {
  return fail('BUILD_INVALID', `${name}: expected ${expected}, found ${String(found)}`)
}
