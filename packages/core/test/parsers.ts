import {
  anonymousDevices,
  compareVersions,
  createGateway,
  formatReference,
  type ImageIndex,
  type ImageManifest,
  type Json,
  type ReflashOptions,
  trustTagVersions,
  unattestedDevices,
  unsignedArtifacts,
} from '@reflash/core'
import {
  fuzzParser,
  type Mutation,
  memoryCache,
  memoryJournal,
  memoryRegistry,
  memoryTarget,
  memoryTransport,
  mutateBytes,
  mutateJson,
  mutateJsonBytes,
  mutateText,
  type ParserFuzz,
} from '@reflash/core/testing'
import { tokenDevices } from '../src/builtin/token-devices.ts'
import { compose } from '../src/composition.ts'
import { choosePlatform } from '../src/content/choose-platform.ts'
import { digestOf, parseDigest } from '../src/content/digest.ts'
import { parseDescriptor, parseIndex, parseManifest } from '../src/content/manifest.ts'
import { annotations, manifestLimitBytes, mediaTypes } from '../src/content/media-types.ts'
import { formatPlatform, parsePlatform } from '../src/content/platform.ts'
import { parseReference } from '../src/content/reference.ts'
import { parseRecord } from '../src/journey/parse-record.ts'
import { readReport } from '../src/journey/read-report.ts'
import { checkEvidence, readAttributes, readState } from '../src/journey/reported-state.ts'
import { checkJournalKey, checkJournalPrefix, journalExpiry, journalText } from '../src/plugin/journal-entry.ts'
import { isRange, mayUpdateFrom, parseTag, parseVersion } from '../src/policy/version.ts'
import { signedClaims } from '../src/update/signed-claims.ts'
import { principal, repository, world } from './composition.ts'
import { writtenRecord } from './support/written-record.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const bytesOf = (document: unknown): Uint8Array => utf8(JSON.stringify(document))
const expectSame = (found: string, expected: string): void => {
  if (found !== expected) throw new Error(`expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`)
}

const hex = 'a'.repeat(64)
const digest = `sha256:${hex}` as const

const reference = fuzzParser({
  name: 'reference',
  corpus: [
    `registry.example.com:5000/firmware/lamp:1.2.0@${digest}`,
    '127.0.0.1:5000/a',
    'oci:/srv/layouts/a@b:v1',
    `oci:dir@${digest}`,
    '[::1]:5000/firmware:latest',
  ],
  mutations: [mutateText(['oci:', ':', '@', `@${digest}`, '/', '..', 'https://', 'user:secret@', '://'])],
  parse: parseReference,
  codes: { INVALID_REFERENCE: 'invalid' },
  holds: (read, text) => expectSame(formatReference(read), text),
})

const digests = fuzzParser({
  name: 'digest',
  corpus: [digest, `sha384:${'0'.repeat(96)}`, `sha512:${'f'.repeat(128)}`],
  mutations: [mutateText(['sha256:', 'sha384:', 'sha512:', 'md5:', 'f', 'g', hex])],
  parse: parseDigest,
  codes: { INVALID_DIGEST: 'invalid' },
  holds: (read, text) => expectSame(read, text),
})

const platform = fuzzParser({
  name: 'platform',
  corpus: ['esp32s3', 'custom/esp32s3/r8', 'linux/arm64'],
  mutations: [mutateText(['/', 'custom', 'linux', 'v8', '.'])],
  parse: parsePlatform,
  codes: { INVALID_PLATFORM: 'invalid' },
  holds: (read, text) => expectSame(formatPlatform(read), text.includes('/') ? text : `custom/${text}`),
})

const version = fuzzParser({
  name: 'version, tag and floor',
  corpus: ['1.2.3', '0.0.0-rc.1+build.7', '10.20.30-alpha.beta.1', '1.0.0+001'],
  mutations: [mutateText(['.', '-', '+', '0', '1', 'v', '_', 'rc', '>=', '||', ' ', 'x', '*', '^', '~'])],
  parse: (text) => {
    // Ranges and tags answer, and never throw.
    if (isRange(text)) mayUpdateFrom(text, '1.2.3')
    mayUpdateFrom('>=1.0.0', text)
    const tagged = parseTag(text)
    if (tagged !== undefined && parseVersion(tagged) !== tagged) throw new Error(`expected a version, found ${tagged}`)
    return compareVersions(text, '1.2.3')
  },
  codes: { INVALID_VERSION: 'invalid' },
  holds: (_, text) => expectSame(String(parseVersion(text)), text),
})

const layer = { mediaType: 'application/octet-stream', digest, size: 5, annotations: { [annotations.title]: 'a.bin' } }
const config = { mediaType: mediaTypes.empty, digest: digestOf(utf8('{}')), size: 2 }
const claims = {
  [annotations.version]: '1.2.0',
  [annotations.product]: 'lamp',
  [annotations.from]: '>=1.0.0',
  [annotations.platform]: 'custom/esp32s3',
}
const manifestDocument = {
  schemaVersion: 2,
  mediaType: mediaTypes.manifest,
  artifactType: 'application/vnd.example.fw',
  config,
  layers: [layer],
  annotations: claims,
}
const docker = {
  schemaVersion: 2,
  mediaType: mediaTypes.dockerManifest,
  config: { ...config, mediaType: 'application/vnd.docker.container.image.v1+json' },
  layers: [],
}
const child = { mediaType: mediaTypes.manifest, digest, size: 400, platform: { os: 'custom', architecture: 'esp32s3' } }
const other = { ...child, digest: digestOf(utf8('other')), platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }
const indexDocument = { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [child, other], annotations: claims }
const nested = {
  ...indexDocument,
  artifactType: 'a/b',
  subject: other,
  manifests: [other, child, { ...other, platform: { os: 'unknown', architecture: 'unknown' } }],
}

/** Rare, because such an input alone costs more than a thousand others. */
const overlong: Mutation<Uint8Array> = (bytes, random) => {
  if (!random.once(400)) return mutateJsonBytes(bytes, random, bytes)
  const long = new Uint8Array(manifestLimitBytes + 1).fill(0x20)
  long.set(bytes.subarray(0, long.length))
  return long
}

const documentCodes = { MANIFEST_TOO_LARGE: 'invalid', INVALID_MANIFEST: 'invalid', INVALID_DESCRIPTOR: 'invalid' } as const
const documentMutations = [mutateJsonBytes, mutateJsonBytes, mutateJsonBytes, mutateJsonBytes, mutateBytes, overlong]

const manifest = fuzzParser<Uint8Array, ImageManifest>({
  name: 'image manifest',
  corpus: [manifestDocument, docker, { ...manifestDocument, subject: child, annotations: null }].map(bytesOf),
  hostile: [bytesOf(indexDocument)],
  mutations: documentMutations,
  parse: (bytes) => parseManifest(bytes, parseManifest(bytes).mediaType),
  codes: documentCodes,
  holds: ({ layers, config, subject }) => {
    for (const descriptor of [...layers, config, ...(subject === undefined ? [] : [subject])]) parseDescriptor(descriptor)
  },
})

const index = fuzzParser<Uint8Array, ImageIndex>({
  name: 'image index, and the choice of a platform',
  corpus: [indexDocument, nested].map(bytesOf),
  hostile: [bytesOf(manifestDocument), bytesOf({ ...indexDocument, manifests: [child, other, { ...child, digest: other.digest }] })],
  mutations: documentMutations,
  parse: (bytes) => {
    const read = parseIndex(bytes, parseIndex(bytes).mediaType)
    const chosen = choosePlatform(read, [parsePlatform('esp32s3r8'), parsePlatform('esp32s3')])
    expectSame(chosen.platform?.architecture ?? '', 'esp32s3')
    return read
  },
  codes: { ...documentCodes, PLATFORM_NOT_FOUND: 'invalid', PLATFORM_AMBIGUOUS: 'invalid' },
  holds: ({ manifests }) => {
    for (const descriptor of manifests) parseDescriptor(descriptor)
  },
})

const annotationKeys = Object.values(annotations)
const claimed = { root: indexDocument, manifest: manifestDocument } as unknown as Json

/** Another text at one annotation: what makes two signed documents disagree. */
const otherClaim: Mutation<Json> = (input, random) => {
  const copy = structuredClone(input ?? {}) as Record<string, { annotations?: Record<string, string> }>
  const document = copy[random.pick(['root', 'manifest'])]
  const key = random.pick(annotationKeys)
  if (typeof document?.annotations !== 'object' || document.annotations === null) return input
  document.annotations[key] = mutateText(['1.0.0', '>=', ' ', '/', 'esp32'])(
    `${typeof document.annotations[key] === 'string' ? document.annotations[key] : ''}`,
    random,
    'lamp',
  )
  return copy as Json
}

const signed = fuzzParser<Json, unknown>({
  name: 'signed claims (annotations)',
  corpus: [claimed],
  mutations: [otherClaim, otherClaim, mutateJson],
  parse: (input) => {
    const documents = (typeof input === 'object' && input !== null ? input : {}) as Readonly<Record<string, Json>>
    const root = parseIndex(bytesOf(documents.root ?? null))
    const read = parseManifest(bytesOf(documents.manifest ?? null))
    const rootAnnotations = root.annotations
    const resolved = {
      reference: `${repository}:1.2.0`,
      root: child,
      manifest: other,
      rootAnnotations,
      manifestAnnotations: read.annotations,
    }
    const { from } = signedClaims(resolved as never, [{ covers: 'root', checks: [{ name: 'SIGNED', status: 'passed' }] }])
    if (from !== undefined && !isRange(from)) throw new Error(`expected a range, found ${from}`)
  },
  codes: {
    INVALID_MANIFEST: 'invalid',
    INVALID_DESCRIPTOR: 'invalid',
    VERSION_MISMATCH: 'rejected',
    WRONG_PRODUCT: 'rejected',
    WRONG_PLATFORM: 'rejected',
    INVALID_FLOOR: 'invalid',
  },
})

const state = fuzzParser<Json, unknown>({
  name: 'what a device says of itself',
  corpus: [
    {
      model: 'board',
      installed: { version: '1.0.0', digest, state: 'confirmed' },
      attributes: { ram: 320, list: [1, { two: 2 }], text: 'x' },
    },
    { installed: { version: 'factory' } },
    { attributes: Object.fromEntries(Array.from({ length: 100 }, (_, number) => [`key${number}`, number])) },
    {},
  ],
  mutations: [mutateJson],
  parse: (said) => {
    const given = said as { readonly evidence?: never; readonly attributes?: never }
    const read = readState((given ?? {}) as object)
    if (given?.attributes !== undefined) readAttributes(given.attributes)
    checkEvidence(given?.evidence)
    return read
  },
  codes: { INVALID_STATE: 'invalid' },
  holds: (read) => void journalText(read as Json),
})

const report = fuzzParser<Json, unknown>({
  name: 'report of a device',
  corpus: [{ state: 'failed', received: 12, code: 'FLASH', messages: ['one', 'two'] }, { state: 'rolled-back' }],
  mutations: [mutateJson],
  parse: (said) => readReport(said as never),
  codes: { INVALID_REPORT: 'invalid' },
  holds: (read) => void journalText(read as Json),
})

const tokens = fuzzParser<Json, unknown>({
  name: 'list of device tokens',
  corpus: [{ d1: 'secret', d2: `sha256:${hex}`, 'aa:bb': 'x'.repeat(64) }],
  mutations: [
    mutateJson,
    mutateJson,
    (list, random) =>
      random.once(8)
        ? {}
        : {
            ...(list as object),
            [random.pick(['d9', '../d', '', '-'])]: random.pick(['sha256:', `sha256:${hex}`, 'x'.repeat(1025), digestOf(utf8(''))]),
          },
  ],
  parse: (list) => tokenDevices((typeof list === 'object' && list !== null ? list : {}) as never),
  codes: { INVALID_TOKENS: 'invalid' },
})

const key = fuzzParser({
  name: 'journal key',
  corpus: ['device/d1', `version/${digest}`, 'k'.repeat(512)],
  mutations: [mutateText(['/', '~', ' '])],
  parse: (text) => {
    checkJournalPrefix(text)
    checkJournalKey(text)
    return text
  },
  codes: { INVALID_KEY: 'invalid' },
  holds: (text) => {
    if (!/^[ -~]+$/.test(text)) throw new Error('expected printable ASCII')
  },
})

/** What JSON cannot hold, put at one place; and what is too large for a journal. */
const noJson: Mutation<unknown> = (value, random) => {
  const long = random.once(20) ? '\u20ac'.repeat(350_000) : 'long'
  const cycle: Record<string, unknown> = {}
  cycle.cycle = cycle
  const odd = random.pick<unknown>([
    undefined,
    1n,
    () => 0,
    Symbol('s'),
    cycle,
    new Date(Number.NaN),
    Number.NaN,
    long,
    {
      toJSON: () => {
        throw new Error('no')
      },
    },
  ])
  return random.once(2) ? odd : { value, odd }
}

const value = fuzzParser<unknown, unknown>({
  name: 'journal value',
  corpus: [{ a: [1, 2, { b: null }] }, 'text', 5, null],
  // What no JSON can hold is left as it is.
  mutations: [(input, random) => (typeof input === 'object' ? mutateJson({ a: [1, 2, { b: null }] }, random, [1]) : input), noJson],
  parse: (input) => {
    journalExpiry(input instanceof Date ? input : undefined)
    return journalText(input as Json)
  },
  codes: { INVALID_VALUE: 'invalid', TOO_LARGE: 'invalid' },
  holds: (text) => void JSON.parse(text as string),
})

const binding = fuzzParser<Json, string>({
  name: 'stored version of a digest',
  corpus: ['1.0.0', '1.0.0+build'],
  mutations: [mutateJson, (text, random) => mutateText(['.', '1', '-rc'])(typeof text === 'string' ? text : '1.0.0', random, '2.0.0')],
  parse: (stored) => {
    const source = trustTagVersions()
    const state = { get: async () => ({ value: stored, version: '1' }), put: async () => '2' }
    const claim = { repository, root: digest, manifest: digest, covers: 'root', tag: '1.0.0' } as const
    return source.version(claim as never, { state, signal: new AbortController().signal } as never) as Promise<string>
  },
  codes: { FACTS_CORRUPT: 'invalid', VERSION_MISMATCH: 'rejected' },
  holds: (read) => expectSame(read.split('+')[0] as string, '1.0.0'),
})

const written = await writtenRecord()

const record = fuzzParser<Json, unknown>({
  name: 'stored record of a device',
  corpus: [written, { v: 1, seq: 0, history: [] }],
  mutations: [mutateJson],
  parse: (stored) => parseRecord('d1', stored),
  codes: { FACTS_CORRUPT: 'invalid' },
})

/** Puts a record into a journal and lets a gateway go on from there: a new one now and then, because registries and catalogs of tests forget nothing. */
function resumed(): (stored: Json) => Promise<void> {
  const device = principal('d1')
  let used = 0
  let made = gatewayOverJournal()
  return async (stored) => {
    if (++used % 256 === 0) made = gatewayOverJournal()
    const { gateway, journal } = made
    const put = async (): Promise<void> => {
      const entry = await journal.get('device/d1')
      await journal.put('device/d1', stored, { ifVersion: entry?.version ?? null })
    }
    await put()
    await gateway.checkIn(device, { model: 'board', installed: { version: '1.0.0', state: 'confirmed' } })
    await put()
    const { body } = await gateway.read(device, 2)
    if (!(body instanceof Uint8Array)) (body as { return?: () => void }).return?.()
    await gateway.report(device, 2, { state: 'installed' })
  }
}

function gatewayOverJournal() {
  const { release, composition } = world({ journal: memoryJournal() })
  release('1.1.0')
  return { gateway: createGateway(composition), journal: composition.journal }
}

const resume = fuzzParser<Json, void>({
  name: 'stored update, taken up again',
  corpus: [written],
  hostile: [{ v: 1, seq: 0, history: [] }],
  mutations: [mutateJson],
  parse: resumed(),
  codes: {
    FACTS_CORRUPT: 'invalid',
    NO_OFFER: 'invalid',
    OFFER_CLOSED: 'invalid',
    NOT_FOUND: 'invalid',
    TARGET_UNKNOWN: 'unsupported',
  },
})

const plugins = {
  registry: memoryRegistry(),
  verifiers: [unsignedArtifacts()],
  targets: [memoryTarget()],
  authenticators: [anonymousDevices()],
  attestation: [unattestedDevices()],
  transports: [memoryTransport([])],
  journal: memoryJournal(),
  cache: memoryCache(),
}
const settings: Json = {
  repository: 'registry.test/fw/{model}',
  product: 'lamp',
  policy: { channel: 'beta', attestation: 'none', attempts: 3, revision: 'a', bootGraceMs: 1000, confirmWithinMs: 2000 },
  times: { answerMs: 4000 },
  pollMs: 60_000,
  imageLimitBytes: 1000,
}

const composition = fuzzParser<Json, unknown>({
  name: 'configuration of a composition',
  corpus: [settings, { repository: 'oci:releases' }],
  mutations: [
    mutateJson,
    mutateJson,
    // What somebody writes where plugins belong.
    (given, random) => ({
      ...(given as object),
      [random.pick([...Object.keys(plugins), 'versions', 'clock', 'random', 'onEvent'])]: random.pick<Json>([
        null,
        0,
        'x',
        [],
        {},
        [null],
        [{}],
        [[]],
        { kind: 'journal' },
      ]),
    }),
  ],
  parse: (given) => compose({ ...plugins, ...(given as object) } as unknown as ReflashOptions),
  codes: { INVALID_COMPOSITION: 'invalid' },
})

/** Every parser of this package. */
export const parsers: readonly ParserFuzz[] = [
  reference,
  digests,
  platform,
  version,
  manifest,
  index,
  signed,
  state,
  report,
  tokens,
  key,
  value,
  binding,
  record,
  resume,
  composition,
]
