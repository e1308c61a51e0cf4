import { createHash } from 'node:crypto'
import { concat, crc32, type DeviceState, digestOf, type ImageInfo, type Json, OtaError } from '@reflash/core'
import { fuzzParser, type Mutation, mutateBytes, mutateField, mutateJson, type ParserFuzz, type SeededRandom } from '@reflash/core/testing'
import { parsePlan, planUpdate } from '../src/esp32-plan.ts'
import { parseOtadataEntry, selectSlot, slotOfSequence } from '../src/flash/otadata.ts'
import { parseFacts } from '../src/image-facts.ts'
import {
  chips,
  type Esp32Plan,
  encodeOtadataEntry,
  encodePartitionTable,
  factoryAndTwoOtaTable,
  type ImageReport,
  inspectImage,
  type OtaState,
  type PartitionTable,
  parsePartitionTable,
  twoOtaTable,
} from '../src/index.ts'
import {
  parseMd5,
  parseResponse,
  parseSecurityInfo,
  responseLimitBytes,
  resultOf,
  romCommands,
  securityInfoBytes,
} from '../src/serial/rom-protocol.ts'
import { encodeSlip, SlipDecoder } from '../src/serial/slip.ts'
import { demoImage } from '../src/testing/index.ts'
import { sealed } from './support/seal.ts'
import { withSignatureSector } from './support/signed.ts'

const apps = chips.flatMap(({ name }) => [1024, 6 * 1024].map((sizeBytes) => demoImage({ chip: name, version: '1.0.0', sizeBytes })))

const edited =
  (edit: (view: DataView, random: SeededRandom) => void, leastBytes = 288): Mutation<Uint8Array> =>
  (image, random) => {
    if (image.length < leastBytes) return image
    const bytes = image.slice()
    edit(new DataView(bytes.buffer), random)
    return bytes
  }

const zeros = new Uint8Array(16 * 1024 * 1024)

/** Header: count, mode, frequency and size, entry, chip id, revisions, reserved, hash flag; first segment; application descriptor. */
const fields = (
  [
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 4],
    [12, 2],
    [14, 1],
    [15, 2],
    [17, 2],
    [19, 4],
    [23, 1],
    [24, 4],
    [28, 4],
    [32, 4],
    [36, 4],
    [208, 2],
    [210, 2],
    [212, 1],
  ] as const
).map(([offset, sizeBytes]) => mutateField(offset, sizeBytes))

const image = fuzzParser<Uint8Array, ImageReport>({
  name: 'application image',
  corpus: [...apps, ...apps.slice(0, 4).map((app) => withSignatureSector(app, 2))],
  hostile: [
    encodePartitionTable(twoOtaTable()),
    concat([apps[0] as Uint8Array, new Uint8Array(0x8000 - (apps[0] as Uint8Array).length), encodePartitionTable(twoOtaTable())]),
    concat([new Uint8Array(0x1000).fill(0xff), apps[0] as Uint8Array]),
  ],
  mutations: [
    ...fields,
    mutateBytes,
    mutateBytes,
    edited((view, random) => view.setUint32(28, view.getUint32(28, true) + 1 + random.below(3), true)),
    // Ranges, chip and eFuse block revisions, whose ends may change places.
    edited((view, random) => [view.setUint16(15, random.below(400), true), view.setUint16(17, 1 + random.below(400), true)]),
    edited((view, random) => [view.setUint16(208, random.below(400), true), view.setUint16(210, 1 + random.below(400), true)]),
    // A program for RAM, large and small, and a bootloader's descriptor.
    edited((view) => [view.setUint32(24, 0xf000_0000, true), view.setUint32(32, 0, true)]),
    edited((view) => [view.setUint32(24, 0xf000_0000, true), view.setUint32(32, 0, true), view.setUint32(28, 400, true)]),
    edited((view) => [view.setUint32(24, 0xf000_0000, true), view.setUint32(32, 0x50, true), view.setUint8(40, 0x76)]),
    // Load addresses where the ESP8266 has them.
    edited((view) => view.setUint32(8, 0x4010_0000, true)),
    () => new Uint8Array(0),
    (bytes) => concat([bytes, new Uint8Array(68)]),
    (bytes, random) => withSignatureSector(bytes, 1 + random.below(3)),
    edited((view, random) => {
      const at = view.byteLength - 1 - random.below(4096)
      if (at >= 0) view.setUint8(at, view.getUint8(at) ^ (1 << random.below(8)))
    }),
    // Rare, because it alone costs more than a thousand others.
    (bytes, random) => (random.once(60) ? concat([bytes, zeros]) : bytes.slice(0, random.below(40))),
  ],
  seal: sealed,
  parse: (bytes) => inspectImage(bytes),
  codesOf: ({ problems }) => problems.map(({ code }) => code),
  codes: Object.fromEntries(
    [
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
    ].map((code) => [code, 'invalid']),
  ),
  holds: ({ kind, sizeBytes, crc32: found, problems }, bytes) => {
    if (sizeBytes !== bytes.length || found !== crc32(bytes))
      throw new Error(`expected ${bytes.length} bytes and their CRC-32, found ${sizeBytes}`)
    if (kind !== 'esp32-app' && problems.length === 0) throw new Error(`expected a problem of ${kind}, found none`)
    for (const { message } of problems) if (message.length < 20) throw new Error(`expected a sentence, found "${message}"`)
  },
})

/** The MD5 of a table, made right again where there is one. */
function withMd5(table: Uint8Array): Uint8Array {
  for (let at = 0; at + 32 <= table.length; at += 32) {
    if (table[at] !== 0xeb || table[at + 1] !== 0xeb) continue
    const copy = table.slice()
    copy.set(createHash('md5').update(table.subarray(0, at)).digest(), at + 16)
    return copy
  }
  return table
}

const inEntry: Mutation<Uint8Array> = (table, random) => {
  const [offset, sizeBytes] = random.pick([
    [0, 2],
    [2, 1],
    [3, 1],
    [4, 4],
    [8, 4],
    [12, 4],
    [28, 4],
  ] as const)
  return mutateField(32 * random.below(6) + offset, sizeBytes)(table, random, table)
}

const partitionTable = fuzzParser<Uint8Array, PartitionTable>({
  name: 'partition table',
  corpus: [encodePartitionTable(twoOtaTable()), encodePartitionTable(factoryAndTwoOtaTable())],
  mutations: [inEntry, inEntry, inEntry, mutateBytes],
  seal: withMd5,
  parse: (bytes) => parsePartitionTable(bytes),
  codes: { PARTITION_TABLE_INVALID: 'invalid' },
  // A slot inside another one, or over the table, is a device lost.
  holds: ({ partitions }) => {
    let end = 0x9000
    for (const { label, offset, sizeBytes } of [...partitions].filter(({ type }) => type < 2).sort((a, b) => a.offset - b.offset)) {
      if (offset < end) throw new Error(`expected ${label} from ${end} on, found it at ${offset}`)
      end = offset + sizeBytes
    }
  },
})

const otadataOf = (...entries: readonly (readonly [sequence: number, state: OtaState])[]): Uint8Array =>
  concat(entries.map(([sequence, state]) => encodeOtadataEntry(sequence, state)))

/** The CRC of each entry, made right again. */
function withCrc(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  const view = new DataView(copy.buffer)
  for (let at = 0; at + 32 <= copy.length; at += 32) view.setUint32(at + 28, crc32(copy.subarray(at, at + 4), 0xffff_ffff), true)
  return copy
}

const otadata = fuzzParser<Uint8Array, void>({
  name: 'otadata, and the next selection',
  corpus: [otadataOf([1, 'valid'], [2, 'pending-verify']), otadataOf([7, 'undefined'], [6, 'aborted']), new Uint8Array(64).fill(0xff)],
  hostile: [otadataOf([0xffff_fffe, 'valid'], [1, 'valid'])],
  mutations: [mutateBytes, mutateField(0, 4), mutateField(32, 4), mutateField(24, 4), mutateField(56, 4)],
  seal: withCrc,
  parse: (bytes) => {
    const both = [parseOtadataEntry(bytes.subarray(0, 32)), parseOtadataEntry(bytes.subarray(32, 64))] as const
    for (const slot of [0, 1]) {
      const { entry, sequence } = selectSlot(both, slot, 2)
      if (slotOfSequence(sequence, 2) !== slot) throw new Error(`expected a sequence that selects ${slot}, found ${sequence} in ${entry}`)
      encodeOtadataEntry(sequence, 'new')
    }
  },
  codes: { OTADATA_INVALID: 'invalid', OTADATA_EXHAUSTED: 'unsupported' },
})

const digest = digestOf(new Uint8Array(0))
const plan: Esp32Plan = {
  target: 'esp32',
  version: 1,
  chip: 'esp32s3',
  digest,
  sizeBytes: 1000,
  crc32: 5,
  appVersion: '1.0.0',
  slot: { number: 1, offset: 0x20_0000, sizeBytes: 0x1d_0000 },
}
const { slot: _, ...planWithoutSlot } = plan

const storedPlan = fuzzParser<Json, Esp32Plan>({
  name: 'stored plan',
  corpus: [plan, planWithoutSlot],
  mutations: [mutateJson],
  parse: parsePlan,
  codes: { ESP32_PLAN_INVALID: 'invalid' },
  holds: (read, json) => {
    if (JSON.stringify(parsePlan(read)) !== JSON.stringify(read))
      throw new Error(`expected the same plan again, found another than ${JSON.stringify(json)}`)
  },
})

const facts = {
  chip: 'esp32s3',
  sizeBytes: 1000,
  crc32: 5,
  projectName: 'lamp',
  appVersion: '1.0.0',
  secureVersion: 1,
  minChipRevision: 1,
  maxChipRevision: 199,
  minEfuseBlockRevision: 1,
  maxEfuseBlockRevision: 199,
  signature: 'v2',
} as const

const storedFacts = fuzzParser<Json, unknown>({
  name: 'facts of an image',
  corpus: [facts, { ...planFacts(), signature: 'v1' }, planFacts()],
  mutations: [mutateJson],
  parse: parseFacts,
  codes: { ESP32_FACTS_INVALID: 'invalid' },
})

function planFacts() {
  const { signature, maxChipRevision, maxEfuseBlockRevision, ...rest } = facts
  return rest
}

const attributes = {
  chipRevision: 100,
  efuseBlockRevision: 100,
  secureVersion: 1,
  secureBoot: 'v2',
  otaSlots: 2,
  slotBytes: 0x1d_0000,
  updateSlot: 1,
  updateSlotOffset: 0x20_0000,
  otaState: 'valid',
  mine: { any: 'thing' },
} as const
const device = { facts, device: { model: 'esp32s3', attributes } } as unknown as Json

/** A wrong but well-formed value of one attribute or fact. */
const oneOff: Mutation<Json> = (input, random) => {
  const copy = structuredClone(input) as {
    facts?: Record<string, Json>
    device?: { model?: Json; attributes?: Record<string, Json> }
  } | null
  const change = random.pick<() => void>([
    () => set(copy?.facts, 'chip', random.pick(chips).name),
    () => set(copy?.facts, 'secureVersion', random.below(3)),
    () => set(copy?.facts, 'signature', random.pick(['v1', 'v2'])),
    () => set(copy?.facts, 'minChipRevision', random.below(300)),
    () => set(copy?.facts, 'minEfuseBlockRevision', random.below(300)),
    () => set(copy?.device as never, 'model', random.pick(chips).name),
    () => set(copy?.device?.attributes, 'slotBytes', random.below(2) * 0x1000),
    () => set(copy?.device?.attributes, 'secureVersion', random.below(3)),
    () => set(copy?.device?.attributes, 'secureBoot', random.pick(['none', 'v1', 'v2'])),
    () => set(copy?.device?.attributes, 'otaState', random.pick(['new', 'pending-verify', 'valid', 'undefined'])),
    () => {
      set(copy?.device?.attributes, 'otaSlots', random.below(3))
      delete copy?.device?.attributes?.updateSlot
    },
  ])
  change()
  return copy as Json
}

function set(object: Record<string, Json> | undefined, name: string, value: Json): void {
  if (typeof object === 'object' && object !== null) object[name] = value
}

const planned = fuzzParser<Json, unknown>({
  name: 'attributes of a device, and its plan',
  corpus: [device],
  mutations: [mutateJson, oneOff, oneOff],
  parse: (input) => {
    const given = (typeof input === 'object' && input !== null ? input : {}) as { readonly facts?: Json; readonly device?: DeviceState }
    const served = { ...(given.facts as object) } as { readonly sizeBytes?: number }
    const descriptor = {
      mediaType: 'application/octet-stream',
      digest,
      size: typeof served.sizeBytes === 'number' ? served.sizeBytes : 1000,
    }
    const attributes = given.device?.attributes
    const known = {
      id: 'd1',
      model: String(JSON.stringify(given.device?.model) ?? '').replaceAll('"', ''),
      ...(attributes === undefined ? {} : { attributes }),
    }
    const rules = {
      chips: chips.map(({ name }) => name).filter((name) => name !== 'esp32c2'),
      chipOf: ({ model }: DeviceState) => chips.find(({ name }) => name === model)?.name,
    }
    return parsePlan(planUpdate(known, { facts: given.facts } as unknown as ImageInfo, descriptor, rules))
  },
  codes: {
    ESP32_ATTRIBUTE_INVALID: 'invalid',
    ESP32_FACTS_INVALID: 'invalid',
    CHIP_NOT_SERVED: 'invalid',
    WRONG_CHIP: 'invalid',
    CHIP_REVISION: 'invalid',
    EFUSE_BLOCK_REVISION: 'invalid',
    IMAGE_LARGER_THAN_SLOT: 'invalid',
    SECURE_VERSION_LOWER: 'rejected',
    SIGNATURE_REQUIRED: 'rejected',
    NO_SECOND_SLOT: 'unsupported',
    UPDATE_PENDING: 'unavailable',
  },
})

/** Every parser of this package. */
const romBody = (command: number, body: Uint8Array): Uint8Array =>
  concat([Uint8Array.of(1, command, body.length & 0xff, body.length >> 8, 0, 0, 0, 0), body])
const romStatus = new Uint8Array(4)

/** The answers of a ROM loader as they come over the line, and what is read from each. */
const romResponse = fuzzParser<Uint8Array, void>({
  name: 'response of a ROM loader',
  corpus: [
    romBody(romCommands.sync, romStatus),
    romBody(romCommands.flashMd5, concat([new Uint8Array(32).fill(0x61), romStatus])),
    romBody(romCommands.readFlash, concat([new Uint8Array(64).fill(0xdb), romStatus])),
    romBody(romCommands.securityInfo, concat([new Uint8Array(20), romStatus])),
    romBody(romCommands.flashBegin, Uint8Array.of(1, 7, 0, 0)),
  ].map(encodeSlip),
  mutations: [mutateBytes, mutateBytes, mutateField(3, 2), mutateField(9, 1)],
  parse: (bytes) => {
    const decoder = new SlipDecoder(responseLimitBytes)
    for (const frame of decoder.push(bytes)) {
      if (frame.length > responseLimitBytes) throw new Error(`expected at most ${responseLimitBytes} bytes, found ${frame.length}`)
      const response = parseResponse(frame)
      try {
        const data = resultOf(
          response,
          { [romCommands.flashMd5]: [32], [romCommands.readFlash]: [64], [romCommands.securityInfo]: securityInfoBytes }[response.command],
        )
        if (response.command === romCommands.flashMd5) parseMd5(data)
        if (response.command === romCommands.securityInfo) parseSecurityInfo(data)
      } catch (error) {
        // What a chip refuses is no damage of the wire.
        if (!(error instanceof OtaError && error.code === 'ROM_REFUSED')) throw error
      }
    }
  },
  codes: { ROM_RESPONSE_INVALID: 'invalid' },
})

export const parsers: readonly ParserFuzz[] = [image, partitionTable, otadata, storedPlan, storedFacts, planned, romResponse]
