import { concat } from '@reflash/core'
import { chips, encodePartitionTable, inspectImage, type Problem, twoOtaTable } from '../../src/index.ts'
import { demoImage, seededBytes } from '../../src/testing/index.ts'
import { sealed } from './seal.ts'
import { withSignatureSector } from './signed.ts'

/** Every code that the parser can give. */
export const parserCodes: readonly Problem['code'][] = [
  'APP_DESCRIPTOR_MISSING',
  'CHIP_REVISION_RANGE',
  'CHIP_UNKNOWN',
  'EFUSE_REVISION_RANGE',
  'IMAGE_CHECKSUM',
  'IMAGE_EMPTY',
  'IMAGE_HASH',
  'IMAGE_HEADER',
  'IMAGE_IS_BOOTLOADER',
  'IMAGE_IS_ESP8266',
  'IMAGE_IS_MERGED_FLASH',
  'IMAGE_IS_PARTITION_TABLE',
  'IMAGE_IS_RAM_PROGRAM',
  'IMAGE_TOO_LARGE',
  'IMAGE_TRAILING',
  'IMAGE_TRUNCATED',
  'IMAGE_UNKNOWN',
  'MMU_PAGE_SIZE',
  'SECURE_VERSION_RANGE',
  'SEGMENT_COUNT',
  'SEGMENT_LENGTH',
  'SEGMENT_MAPPING',
  'SIGNATURE_BLOCK',
]

const encodeTable = (): Uint8Array => encodePartitionTable(twoOtaTable())

type Random = (below: number) => number
type Operator = (image: Uint8Array, random: Random) => Uint8Array

// What is too short to be edited stays as it is.
const edited = (image: Uint8Array, edit: (bytes: Uint8Array, view: DataView) => void): Uint8Array => {
  if (image.length < 288) return image
  const bytes = image.slice()
  edit(bytes, new DataView(bytes.buffer))
  return bytes
}
const flip = (bytes: Uint8Array, at: number, bit: number): void => {
  bytes[at] = (bytes[at] as number) ^ (1 << bit)
}
const field =
  (offset: number, size: 1 | 2 | 4): Operator =>
  (image, random) =>
    edited(image, (_, view) => {
      const interesting = [0, 1, 2, 16, 17, 0xff, 0xffff, 0xffff_ffff, random(0x1_0000_0000)]
      const value = interesting[random(interesting.length)] as number
      if (size === 1) view.setUint8(offset, value & 0xff)
      else if (size === 2) view.setUint16(offset, value & 0xffff, true)
      else view.setUint32(offset, value, true)
    })

const operators: readonly Operator[] = [
  // Header: count, mode, frequency and size, entry, chip id, revisions, reserved, hash flag.
  field(1, 1),
  field(2, 1),
  field(3, 1),
  field(4, 4),
  field(12, 2),
  field(14, 1),
  field(15, 2),
  field(17, 2),
  field(19, 4),
  field(23, 1),
  // First segment: address and length.
  field(24, 4),
  field(28, 4),
  (image, random) => edited(image, (_, view) => view.setUint32(28, view.getUint32(28, true) + 1 + random(3), true)),
  // Application descriptor: magic, security version, eFuse revisions, page size.
  field(32, 4),
  field(36, 4),
  field(32 + 176, 2),
  field(32 + 178, 2),
  field(32 + 180, 1),
  // Ranges, chip and eFuse block revisions, whose ends may change places.
  (image, random) => edited(image, (_, view) => [view.setUint16(15, random(400), true), view.setUint16(17, 1 + random(400), true)]),
  (image, random) => edited(image, (_, view) => [view.setUint16(208, random(400), true), view.setUint16(210, 1 + random(400), true)]),
  // A program for RAM, large and small.
  (image) => edited(image, (_, view) => [view.setUint32(24, 0xf000_0000, true), view.setUint32(32, 0, true)]),
  (image) =>
    edited(image, (_, view) => [view.setUint32(24, 0xf000_0000, true), view.setUint32(32, 0, true), view.setUint32(28, 400, true)]),
  (image) => edited(image, (_, view) => [view.setUint32(24, 0xf000_0000, true), view.setUint32(32, 0x50, true), view.setUint8(40, 0x76)]),
  // Load addresses where the ESP8266 has them.
  (image) => edited(image, (_, view) => view.setUint32(8, 0x4010_0000, true)),
  // Cut, continue, prefix, overwrite.
  (image, random) => image.slice(0, random(image.length)),
  (image, random) => image.slice(0, random(40)),
  () => new Uint8Array(0),
  (image, random) => concat([image, new Uint8Array(1 + random(100))]),
  (image) => concat([image, new Uint8Array(68)]),
  (image) => concat([new Uint8Array(0x1000).fill(0xff), image]),
  (image) => concat([image, new Uint8Array(Math.max(0, 0x8000 - image.length)), encodeTable()]),
  () => encodeTable(),
  (image, random) => edited(image, (bytes) => bytes.fill(random(256), random(image.length), random(image.length))),
  (image, random) => edited(image, (bytes) => flip(bytes, random(image.length), random(8))),
  (image, random) => withSignatureSector(image, 1 + random(3)),
  (image, random) => edited(withSignatureSector(image, 1 + random(3)), (bytes) => flip(bytes, bytes.length - 1 - random(4096), random(8))),
]

const bases = chips.flatMap(({ name }) => [1024, 6 * 1024].map((sizeBytes) => demoImage({ chip: name, version: '1.0.0', sizeBytes })))

/** Inspects that many mutants and returns every code they were reported with. Whatever inspectImage throws comes through. */
export async function inspectMutants(count: number, seed: number): Promise<ReadonlySet<string>> {
  const bytes = seededBytes(seed)
  const random: Random = (below) => new DataView(bytes(4).buffer).getUint32(0) % below
  const hit = new Set<string>()
  for (let run = 0; run < count; run++) {
    let image = bases[random(bases.length)] as Uint8Array
    for (let edits = 1 + random(2); edits > 0 && image.length > 64; edits--) {
      image = (operators[random(operators.length)] as Operator)(image, random)
    }
    // Half of them with checksum and hash recomputed: otherwise nothing is ever wrong but these.
    if (random(2) === 0) image = sealed(image)
    const { kind, sizeBytes, problems } = await inspectImage(image)
    if (sizeBytes !== image.length) throw new Error(`mutant ${run}: ${image.length} bytes were reported as ${sizeBytes}`)
    if (kind !== 'esp32-app' && problems.length === 0) throw new Error(`mutant ${run}: ${kind} was reported without a problem`)
    for (const { code, message } of problems) {
      hit.add(code)
      if (message.length < 20) throw new Error(`mutant ${run}: "${message}" is no sentence`)
    }
  }
  const large = concat([bases[0] as Uint8Array, new Uint8Array(16 * 1024 * 1024)])
  for (const { code } of (await inspectImage(large)).problems) hit.add(code)
  return hit
}
