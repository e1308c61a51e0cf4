import { type DeviceState, digestOf, type ImageInfo, type Json, streamOf } from '@reflash/core'
import { fuzzParser, mutateBytes, mutateJson, mutateText, type ParserFuzz } from '@reflash/core/testing'
import { readCpio } from '../src/cpio.ts'
import { parseConfig, parseSwDescription } from '../src/index.ts'
import { type InspectedSwu, inspectSwu } from '../src/inspect-swu.ts'
import { expectSigned, readSigners } from '../src/signers.ts'
import { parsePlan, planUpdate } from '../src/swupdate-plan.ts'
import { buildSwu, describeSwu, packCpio, testSigner } from '../src/testing/index.ts'

const now = new Date('2026-11-21T12:00:00Z')
const { signal } = new AbortController()
const { certificate, sign } = testSigner()
const signers = readSigners([certificate])
const options = { version: '1.1.0', image: new Uint8Array(200).fill(9), hardware: ['1.0', 'board:2.0'] }
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const signed = buildSwu({ ...options, sign })
const members = [{ name: 'sw-description', bytes: utf8(describeSwu(options)) }]

/** The sums of all members, made right again as far as their heads can be read. */
function sealed(swu: Uint8Array): Uint8Array {
  const copy = Buffer.from(swu)
  for (let at = 0; copy.toString('latin1', at, at + 6) === '070702'; ) {
    const size = Number.parseInt(copy.toString('latin1', at + 54, at + 62), 16)
    const name = Number.parseInt(copy.toString('latin1', at + 94, at + 102), 16)
    const start = at + Math.ceil((110 + name) / 4) * 4
    if (!(start + size <= copy.length)) break
    let sum = 0
    for (const byte of copy.subarray(start, start + size)) sum = (sum + byte) >>> 0
    copy.write(sum.toString(16).padStart(8, '0'), at + 102, 'latin1')
    at = Math.ceil((start + size) / 4) * 4
  }
  return new Uint8Array(copy)
}

const archive = fuzzParser<Uint8Array, unknown>({
  name: 'archive (cpio)',
  corpus: [signed, ...[0, 1, 2, 3, 4, 5].map((sizeBytes) => packCpio([...members, { name: 'other', bytes: new Uint8Array(sizeBytes) }]))],
  // One that costs what a hundred others do: few inputs begin with it.
  hostile: [packCpio(Array.from({ length: 300 }, (_, index) => ({ name: `m${index}`, bytes: new Uint8Array(0) })))],
  mutations: [mutateBytes, mutateBytes, (bytes, random) => bytes.slice(0, random.below(bytes.length + 1))],
  seal: sealed,
  parse: (bytes) => readCpio(streamOf(bytes), { signal, keep: (name) => (name === 'sw-description' ? 4096 : undefined) }),
  codes: { NOT_SWU: 'invalid', SWU_CUT: 'invalid', SWU_LIMIT: 'invalid', SWU_CHECKSUM: 'invalid' },
})

const described = describeSwu(options)
const words = [
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  '=',
  ':',
  ';',
  ',',
  '"',
  '\\',
  '#',
  '/*',
  '//',
  'software',
  'sha256',
  '0x1',
  '-1',
  '1e9',
  'true',
  '@include',
]

const spellings = [
  'software = { version = "1"; images: ( { filename = "x"; sha256 = "00"; } ); }',
  'a : { b : { c : ( ( 1, -2 ), [ true, False ], "d" ) } }\n',
  '# c\n*name-1_ = "\\x41\\n\\"" "b";\n/* d */ e = 0xFFL, f = .5E-1 // g',
]
const config = fuzzParser<string, unknown>({
  name: 'description as libconfig',
  corpus: [described, ...spellings, 'a = 1L; b : [1, 2.5e3, 0xFF]; c = ( "x" "y", { d = true; } ); /* e */ // f\n# g\n'],
  hostile: [`a = ${'('.repeat(2000)}`, `a = "${'\\'.repeat(20_000)}`, `a = "${'x'.repeat(20_000)}"`, `/*${'*'.repeat(20_000)}`],
  mutations: [mutateText(words), mutateText(words)],
  parse: parseConfig,
  codes: { SW_DESCRIPTION_INVALID: 'invalid' },
})

const description = fuzzParser<string, unknown>({
  name: 'sw-description',
  corpus: [described],
  mutations: [
    mutateText(words),
    mutateText(['filename = "x";', 'sha256 = "";', 'version = 1;', 'images: ();', 'hardware-compatibility = 1;']),
  ],
  parse: (text) => parseSwDescription(utf8(text)),
  codes: { SW_DESCRIPTION_INVALID: 'invalid' },
})

const content = utf8(described)
const signature = fuzzParser<Uint8Array, unknown>({
  name: 'signature (CMS) of an update',
  corpus: [sign(content)],
  mutations: [mutateBytes],
  parse: (bytes) => expectSigned(content, bytes, signers, now),
  codes: { SWU_SIGNATURE_INVALID: 'rejected' },
})

const expected = JSON.stringify(parseSwDescription(content).images)

const update = fuzzParser<Uint8Array, InspectedSwu>({
  name: 'update (.swu)',
  corpus: [signed],
  hostile: [
    buildSwu(options),
    buildSwu({ ...options, sha256: 'a'.repeat(64), sign }),
    packCpio([...members, ...members]),
    packCpio([members[0] as (typeof members)[0], { name: 'sw-description.sig', bytes: sign(content) }]),
    buildSwu({ ...options, version: '', sign }),
    packCpio(
      ['sw-description', 'sw-description.sig', 'image.bin'].map((name) => {
        const loose = utf8(described.replace(/sha256 = "[^"]*";/g, ''))
        return { name, bytes: name === 'sw-description' ? loose : name === 'image.bin' ? options.image : sign(loose) }
      }),
    ),
  ],
  // Some stay as they are: a hostile one is refused for what it is.
  mutations: [mutateBytes, mutateBytes, mutateBytes, mutateBytes, (bytes) => bytes],
  seal: sealed,
  parse: (bytes) => inspectSwu(streamOf(bytes), { signers, now, signal }),
  codes: {
    NOT_SWU: 'invalid',
    SWU_CUT: 'invalid',
    SWU_LIMIT: 'invalid',
    SWU_ORDER: 'invalid',
    SWU_CHECKSUM: 'invalid',
    SWU_UNSIGNED: 'rejected',
    SWU_SIGNATURE_INVALID: 'rejected',
    SW_DESCRIPTION_INVALID: 'invalid',
    SWU_IMAGE_MISSING: 'invalid',
    SWU_HASH_MISSING: 'invalid',
    SWU_HASH_MISMATCH: 'rejected',
  },
  // Whatever was changed: nothing is taken but what the signer has signed.
  holds: ({ version, images }) => {
    if (version !== '1.1.0' || JSON.stringify(images) !== expected)
      throw new Error('expected the description that was signed, found another')
  },
})

const digest = digestOf(new Uint8Array(0))
const plan = fuzzParser<Json, unknown>({
  name: 'stored plan of an update',
  corpus: [{ digest, sizeBytes: 1024, version: '1.1.0' }],
  mutations: [mutateJson],
  parse: parsePlan,
  codes: { SWU_PLAN_INVALID: 'invalid' },
  holds: (read) => {
    if (JSON.stringify(parsePlan(JSON.parse(JSON.stringify(read)))) !== JSON.stringify(read)) throw new Error('expected the plan again')
  },
})

const device: Json = { id: 'd1', model: 'board', attributes: { hardware: 'board:2.0', other: [1] } }
const planning = fuzzParser<Json, unknown>({
  name: 'plan of an update',
  corpus: [device],
  mutations: [mutateJson],
  parse: (state) => {
    if (typeof state !== 'object' || state === null || Array.isArray(state)) return undefined
    const { model, attributes } = state as Record<string, unknown>
    // What the gateway lets through: texts, and an object of attributes.
    const known = typeof attributes === 'object' && attributes !== null && !Array.isArray(attributes)
    const read = { id: 'd1', ...(typeof model === 'string' ? { model } : {}), ...(known ? { attributes } : {}) } as DeviceState
    const info: ImageInfo = { size: 1024, version: '1.1.0', facts: { hardware: options.hardware } }
    return planUpdate(read, info, { mediaType: 'application/octet-stream', digest, size: 1024 }, ['board'])
  },
  codes: { SWU_WRONG_MODEL: 'invalid', SWU_WRONG_HARDWARE: 'invalid' },
})

export const parsers: readonly ParserFuzz[] = [archive, config, description, signature, update, plan, planning]
