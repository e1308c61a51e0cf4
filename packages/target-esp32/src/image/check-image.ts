import type { Reason } from '@reflash/core'
import type { Esp32Code } from '../esp32-errors.ts'
import { type AppDescription, appDescriptionBytes, parseAppDescription, startsAppDescription } from './app-description.ts'
import { type Chip, isMapped } from './chips.ts'
import { type ImageFacts, type ImageSegment, imageLimitBytes, isPlausible } from './parse-image.ts'

/** What a file is. Only `esp32-app` can be installed over the air. */
export type ImageKind =
  | 'esp32-app'
  | 'esp32-bootloader'
  | 'esp32-ram-program'
  | 'esp32-merged-flash'
  | 'esp32-partition-table'
  | 'esp8266-image'
  | 'empty'
  | 'unknown'

/** One thing that is wrong with an image. */
export type Problem = Reason & { readonly code: Esp32Code }

export interface Judgement {
  readonly kind: ImageKind
  readonly description?: AppDescription
  readonly problems: readonly Problem[]
}

/** Judges what was found in a file of `sizeBytes`, purely; every problem is named. */
export function checkImage(facts: ImageFacts, sizeBytes: number): Judgement {
  const description = parseAppDescription(facts.firstData)
  const kind = kindOf(facts, description)
  const problems: Problem[] = []
  const tell: Tell = (code, message) => {
    problems.push({ code, message })
  }
  tellKind(kind, facts, tell)
  if (sizeBytes > imageLimitBytes) tell('IMAGE_TOO_LARGE', `expected at most ${imageLimitBytes} bytes, found ${sizeBytes}`)
  if (kind === 'esp32-app' || kind === 'esp32-bootloader' || kind === 'esp32-ram-program') tellStructure(facts, description, tell)
  if (kind === 'esp32-app') tellApp(facts, description, tell)
  return { kind, ...(description === undefined ? {} : { description }), problems }
}

type Tell = (code: Esp32Code, message: string) => void

/**
 * Evidence, strongest first. The application descriptor names an application. A partition table at 0x8000 makes it a dump of a whole flash,
 * which begins like an image on chips whose bootloader lies at 0. A segment that runs from flash needs a bootloader to map it, so
 * it is an application. What is left is loaded into RAM as a whole: a bootloader, or a program for a debugging session. Bootloaders of
 * ESP-IDF 5 carry a descriptor of their own; older ones are told by their size alone: the smallest seen has 7.7 KiB.
 */
function kindOf(facts: ImageFacts, description: AppDescription | undefined): ImageKind {
  switch (facts.form) {
    case 'empty':
    case 'unknown':
      return facts.form
    case 'flash-dump':
      return 'esp32-merged-flash'
    case 'esp8266':
      return 'esp8266-image'
    case 'partition-table':
      return 'esp32-partition-table'
    case 'esp32':
      break
  }
  const { header, segments, firstData } = facts
  if (description !== undefined || startsAppDescription(firstData)) return 'esp32-app'
  if (facts.partitionTable) return 'esp32-merged-flash'
  if (header === undefined || !isPlausible(header)) return 'unknown'
  const chip = header.chip as Chip
  if (segments.some(({ loadAddress, lengthBytes }) => lengthBytes > 0 && isMapped(chip, loadAddress))) return 'esp32-app'
  return isBootloaderDescriptor(firstData) || loadedBytes(facts) >= 4096 ? 'esp32-bootloader' : 'esp32-ram-program'
}

function loadedBytes({ segments }: ImageFacts): number {
  return segments.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
}

/** ESP-IDF, esp_bootloader_desc.h: magic 0x50, then reserved bytes, a version, and the version of ESP-IDF as text at 8. */
function isBootloaderDescriptor(data: Uint8Array): boolean {
  return data.length >= 80 && data[0] === 0x50 && data[8] === 0x76
}

const onlyApps = 'only application images can be installed over the air'

const kindProblems: { readonly [K in Exclude<ImageKind, 'esp32-app' | 'unknown'>]: Problem } = {
  empty: { code: 'IMAGE_EMPTY', message: 'expected an application image, found no bytes' },
  'esp32-bootloader': { code: 'IMAGE_IS_BOOTLOADER', message: `this is a second-stage bootloader; ${onlyApps}` },
  'esp32-ram-program': {
    code: 'IMAGE_IS_RAM_PROGRAM',
    message: `no segment of this image lives in flash: it is a program for RAM; ${onlyApps}`,
  },
  'esp32-merged-flash': {
    code: 'IMAGE_IS_MERGED_FLASH',
    message: `this is a dump of flash from its start (bootloader, partition table); ${onlyApps}`,
  },
  'esp32-partition-table': { code: 'IMAGE_IS_PARTITION_TABLE', message: `this is a partition table; ${onlyApps}` },
  'esp8266-image': { code: 'IMAGE_IS_ESP8266', message: 'this is an image for the ESP8266, not for an ESP32' },
}

function tellKind(kind: ImageKind, facts: ImageFacts, tell: Tell): void {
  if (kind === 'esp32-app') return
  if (kind === 'unknown') tell('IMAGE_UNKNOWN', unknownBecause(facts))
  else tell(kindProblems[kind].code, kindProblems[kind].message)
}

function unknownBecause({ firstByte = 0, header, truncated }: ImageFacts): string {
  if (firstByte !== 0xe9) return `expected 0xe9 as first byte of an image, found ${hex(firstByte, 2)}: no image, or an encrypted one`
  const why: string[] = []
  if (header === undefined) why.push(`it has ${truncated?.found ?? 0} bytes`)
  else {
    why.push(...header.oddities)
    if (header.chip === undefined) why.push(`unknown chip id ${header.chipId}`)
    if (header.segmentCount === 0 || header.segmentCount > 16) why.push(`${header.segmentCount} segments`)
  }
  return `the first byte is that of an image, the header is not (${why.join(', ')}): no image, or an encrypted one`
}

function tellStructure(facts: ImageFacts, description: AppDescription | undefined, tell: Tell): void {
  const { header, segments, beyond, truncated, checksum, hash, trailer, trailingBytes, endBytes } = facts
  if (header === undefined) return
  if (header.oddities.length > 0) tell('IMAGE_HEADER', `the header has ${header.oddities.join(', ')}`)
  if (header.chip === undefined) tell('CHIP_UNKNOWN', `expected the id of a known chip, found ${header.chipId}`)
  const { minChipRevision: min, maxChipRevision: max } = header
  if (max !== undefined && min > max)
    tell('CHIP_REVISION_RANGE', `expected a range, found chip revisions from ${revision(min)} to ${revision(max)}`)
  if (header.segmentCount === 0 || header.segmentCount > 16)
    tell('SEGMENT_COUNT', `expected 1 to 16 segments, found ${header.segmentCount}`)
  tellSegments(facts, description, tell)
  if (beyond !== undefined) {
    tell(
      'SEGMENT_LENGTH',
      `segment ${beyond.index}: expected an end within ${imageLimitBytes} bytes, found a length of ${beyond.lengthBytes}`,
    )
  }
  if (truncated !== undefined) tell('IMAGE_TRUNCATED', `expected at least ${truncated.expected} bytes, found ${truncated.found}`)
  if (checksum !== undefined && checksum.found !== checksum.expected) {
    tell('IMAGE_CHECKSUM', `expected checksum ${checksum.expected} over ${segments.length} segments, found ${checksum.found}`)
  }
  if (hash !== undefined && hash.found !== hash.expected)
    tell('IMAGE_HASH', `expected appended SHA-256 ${hash.expected}, found ${hash.found}`)
  for (const damage of trailer?.damage ?? []) tell('SIGNATURE_BLOCK', `secure boot signature: ${damage}`)
  const extra = trailingBytes - (trailer?.accountedBytes ?? 0)
  if (extra > 0) tell('IMAGE_TRAILING', `expected the file to end at ${(endBytes ?? 0) + trailingBytes - extra}, found ${extra} more bytes`)
}

// ESP-IDF, esp_image_format.c, verify_segment_header: the cache maps whole pages, so the offset within a page must be that of the address.
function isMisplaced({ loadAddress, offset }: ImageSegment, chip: Chip | undefined, page: number): boolean {
  return chip !== undefined && isMapped(chip, loadAddress) && (offset - loadAddress) % page !== 0
}

function pageBytes(description: AppDescription | undefined): number {
  const log2 = description?.mmuPageLog2 ?? 0
  return log2 >= 13 && log2 <= 16 ? 2 ** log2 : 0x1_0000
}

/**
 * Whether the bootloader would start this image; neither stricter nor laxer than it, because what runs decides which slot is written.
 * Chip revision, signatures and security version cannot be judged from flash.
 */
export function isBootable({ form, header, segments, beyond, truncated, checksum, hash, endBytes, firstData }: ImageFacts): boolean {
  const page = pageBytes(parseAppDescription(firstData))
  return (
    form === 'esp32' &&
    header?.chip !== undefined &&
    beyond === undefined &&
    truncated === undefined &&
    endBytes !== undefined &&
    segments.every((segment) => segment.lengthBytes % 4 === 0 && !isMisplaced(segment, header.chip, page)) &&
    checksum?.found === checksum?.expected &&
    hash?.found === hash?.expected
  )
}

function tellSegments({ header, segments }: ImageFacts, description: AppDescription | undefined, tell: Tell): void {
  const page = pageBytes(description)
  for (const [index, segment] of segments.entries()) {
    const { loadAddress, lengthBytes, offset } = segment
    if (lengthBytes % 4 !== 0) tell('SEGMENT_LENGTH', `segment ${index}: expected a multiple of 4 bytes, found ${lengthBytes}`)
    if (isMisplaced(segment, header?.chip, page)) {
      const where = hex(loadAddress % page, 4)
      tell(
        'SEGMENT_MAPPING',
        `segment ${index} for ${hex(loadAddress, 8)}: expected offset ${where} in its ${page} byte page, found ${hex(offset % page, 4)}`,
      )
    }
  }
}

function tellApp({ header, firstData, segments }: ImageFacts, description: AppDescription | undefined, tell: Tell): void {
  if (description === undefined) {
    const found = startsAppDescription(firstData) ? `a first segment of ${segments[0]?.lengthBytes ?? 0} bytes` : 'none'
    tell(
      'APP_DESCRIPTOR_MISSING',
      `expected an application descriptor of ${appDescriptionBytes} bytes in the first segment, found ${found}`,
    )
    return
  }
  const { secureVersion, minEfuseBlockRevision: min, maxEfuseBlockRevision: max, mmuPageLog2 } = description
  const bits = header?.chip?.secureVersionBits ?? 32
  if (secureVersion > bits)
    tell('SECURE_VERSION_RANGE', `expected a security version of at most ${bits} on this chip, found ${secureVersion}`)
  if (max !== undefined && min > max)
    tell('EFUSE_REVISION_RANGE', `expected a range, found eFuse block revisions from ${revision(min)} to ${revision(max)}`)
  if (mmuPageLog2 !== 0 && (mmuPageLog2 < 13 || mmuPageLog2 > 16)) {
    tell('MMU_PAGE_SIZE', `expected an MMU page of 2^13 to 2^16 bytes, found 2^${mmuPageLog2}`)
  }
}

/** `v3.1` of 301. */
export function revision(full: number): string {
  return `v${Math.floor(full / 100)}.${full % 100}`
}

export function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`
}
