import { fail } from '../esp32-errors.ts'
import { buildImage } from '../image/build-image.ts'
import { type ChipName, chipByName } from '../image/chips.ts'

export interface DemoImageOptions {
  readonly chip: ChipName
  readonly version: string
  /** `reflash-demo` where absent. */
  readonly projectName?: string
  /** Bytes of the whole image, a multiple of 16 from 1024 on; 96 KiB where absent. */
  readonly sizeBytes?: number
  readonly secureVersion?: number
  /** Decides the filler together with version and chip; 1 where absent. */
  readonly seed?: number
  /** Major * 100 + minor. */
  readonly minChipRevision?: number
  readonly maxChipRevision?: number
}

/** The bytes of the code segment. */
const codeBytes = 256
/** Header, two segment headers, checksum and its padding, hash. */
const frameBytes = 24 + 2 * 8 + 4 + 32

/**
 * Builds a small application image that parsers and the bootloader accept: an application descriptor, read-only data and a little "code", both
 * filler from a seeded generator. The same options yield the same bytes.
 * @throws `BUILD_INVALID`
 */
export function demoImage(options: DemoImageOptions): Uint8Array {
  const { chip, version, projectName = 'reflash-demo', sizeBytes = 96 * 1024, secureVersion = 0, seed = 1 } = options
  const known = chipByName(chip)
  const flashStart = known?.mapped[0]?.[0]
  if (known === undefined || flashStart === undefined) throw fail('BUILD_INVALID', `chip: expected a known chip, found ${chip}`)
  if (!Number.isInteger(sizeBytes) || sizeBytes % 16 !== 0 || sizeBytes < 1024) {
    throw fail('BUILD_INVALID', `sizeBytes: expected a multiple of 16 from 1024 on, found ${sizeBytes}`)
  }
  const random = seededBytes([...`${chip} ${version}`].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), seed))
  return buildImage({
    chip,
    entryPoint: known.iram,
    segments: [
      // The data of the first segment lies at file offset 32, so that its address must be 32 beyond a page.
      { loadAddress: flashStart + 32, data: random(sizeBytes - frameBytes - codeBytes - 256) },
      { loadAddress: known.iram, data: random(codeBytes) },
    ],
    appDescription: { version, projectName, secureVersion, idfVersion: 'v5.4', time: '12:00:00', date: 'Jan  1 2026' },
    ...(options.minChipRevision === undefined ? {} : { minChipRevision: options.minChipRevision }),
    ...(options.maxChipRevision === undefined ? {} : { maxChipRevision: options.maxChipRevision }),
  })
}

/** A generator of bytes that are always the same for a seed: xorshift32. */
export function seededBytes(seed: number): (length: number) => Uint8Array {
  let word = seed | 0 || 0x9e37_79b9
  return (length) =>
    Uint8Array.from({ length }, () => {
      word ^= word << 13
      word ^= word >>> 17
      word ^= word << 5
      return word & 0xff
    })
}
