import { type ByteStream, streamOf } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { ByteReader } from './byte-reader.ts'
import { checkImage, type ImageKind, type Problem } from './check-image.ts'
import type { ChipName } from './chips.ts'
import type { FlashMode } from './image-header.ts'
import { type ImageFacts, type ImageSegment, parseImage } from './parse-image.ts'
import type { SecureBootSignature } from './signature-sector.ts'

/** What `reflash inspect --json` prints: plain data. A field is absent where the file does not have it. */
export type ImageReport = {
  readonly kind: ImageKind
  readonly chip?: ChipName
  readonly chipId?: number
  readonly sizeBytes: number
  /** CRC-32 (IEEE 802.3) of the whole file, unsigned. */
  readonly crc32: number
  /** SHA-256 of the whole file, lower case hex. */
  readonly sha256: string
  readonly projectName?: string
  /** Advisory: Arduino builds carry the version of the core here. */
  readonly appVersion?: string
  readonly idfVersion?: string
  readonly compileTime?: string
  readonly compileDate?: string
  readonly elfSha256?: string
  readonly secureVersion?: number
  /** Major * 100 + minor; no maximum: any. */
  readonly minChipRevision?: number
  readonly maxChipRevision?: number
  readonly minEfuseBlockRevision?: number
  readonly maxEfuseBlockRevision?: number
  readonly mmuPageBytes?: number
  readonly entryPoint?: number
  readonly flashMode?: FlashMode
  readonly flashMHz?: number
  readonly flashSizeBytes?: number
  readonly segments: readonly ImageSegment[]
  /** The XOR checksum as it should be and as it stands. */
  readonly checksum?: { readonly expected: string; readonly found: string }
  readonly hashAppended?: boolean
  /** The appended SHA-256 as it should be and as it stands. */
  readonly hash?: { readonly expected: string; readonly found: string }
  readonly signature?: SecureBootSignature
  readonly problems: readonly Problem[]
}

export interface InspectOptions {
  readonly signal?: AbortSignal
}

/** The largest flash that an image header can name; nothing that was ever built for a chip is larger. */
export const inspectLimitBytes = 128 * 1024 * 1024

/**
 * Reads a file once, whatever it is, and says what it is and everything that is wrong with it. Memory does not grow with the file.
 * @throws `IMAGE_TOO_LARGE` beyond 128 MiB, `ABORTED`, and what the source throws; never for what the file contains
 */
export async function inspectImage(source: Uint8Array | ByteStream, { signal }: InspectOptions = {}): Promise<ImageReport> {
  const reader = new ByteReader(bounded(source instanceof Uint8Array ? streamOf(source) : source), signal)
  try {
    const facts = await parseImage(reader)
    return reportOf(facts, reader)
  } finally {
    await reader.close()
  }
}

async function* bounded(source: ByteStream): ByteStream {
  let size = 0
  for await (const chunk of source) {
    size += chunk.length
    if (size > inspectLimitBytes) throw fail('IMAGE_TOO_LARGE', `expected at most ${inspectLimitBytes} bytes, found more`)
    yield chunk
  }
}

function reportOf(facts: ImageFacts, reader: ByteReader): ImageReport {
  const { kind, description, problems } = checkImage(facts, reader.position)
  // A header that was not believed says nothing.
  const header = kind === 'unknown' || kind === 'esp8266-image' ? undefined : facts.header
  const signature = facts.trailer?.signature
  return {
    kind,
    ...(header?.chip === undefined ? {} : { chip: header.chip.name }),
    ...(header === undefined ? {} : { chipId: header.chipId }),
    sizeBytes: reader.position,
    crc32: reader.crc32,
    sha256: reader.sha256(),
    ...(description === undefined
      ? {}
      : {
          projectName: description.projectName,
          appVersion: description.version,
          idfVersion: description.idfVersion,
          compileTime: description.time,
          compileDate: description.date,
          elfSha256: description.elfSha256,
          secureVersion: description.secureVersion,
          minEfuseBlockRevision: description.minEfuseBlockRevision,
          ...defined('maxEfuseBlockRevision', description.maxEfuseBlockRevision),
          ...(description.mmuPageLog2 === 0 ? {} : { mmuPageBytes: 2 ** description.mmuPageLog2 }),
        }),
    ...(header === undefined
      ? {}
      : {
          minChipRevision: header.minChipRevision,
          ...defined('maxChipRevision', header.maxChipRevision),
          entryPoint: header.entryPoint,
          ...defined('flashMode', header.flashMode),
          ...defined('flashMHz', header.flashMHz),
          ...defined('flashSizeBytes', header.flashSizeBytes),
          hashAppended: header.hashAppended,
        }),
    segments: header === undefined ? [] : facts.segments,
    ...defined('checksum', facts.checksum),
    ...defined('hash', facts.hash),
    ...defined('signature', signature),
    problems,
  }
}

function defined<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V })
}
