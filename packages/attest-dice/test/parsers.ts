import { deepStrictEqual } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import {
  type DiceEvidence,
  type DiceVerifierOptions,
  decodeEvidence,
  diceErrors,
  diceEvidenceType,
  diceVerifier,
  parseReferenceValues,
  readBlocks,
} from '@reflash/attest-dice'
import { evidenceOf, goodLayers, goodOpenDiceLayers, goodReferenceValues, issueChain, pemOf } from '@reflash/attest-dice/testing'
import { type AttestationResult, crc32, type Evidence, type Fault } from '@reflash/core'
import {
  fuzzParser,
  type Mutation,
  memoryJournal,
  mutateBytes,
  mutateJsonBytes,
  mutateText,
  type ParserFuzz,
  type SeededRandom,
} from '@reflash/core/testing'
import { signCertificate } from '../src/testing/issue-certificate.ts'
import { readDer } from '../src/x509/der.ts'

const challenge = { nonce: new Uint8Array(32).fill(7), purpose: 'confirm' as const, deviceId: 'd1' }
const now = new Date('2026-06-01T00:00:00Z')

const flags = { flagBits: [31], maskBits: [0, 1, 2, 3, 31] }
const tcg = issueChain({
  algorithm: 'Ed25519',
  layers: goodLayers.map((layer) => ({ ...layer, ...flags })),
  ueid: Uint8Array.from([1, ...new Uint8Array(16).fill(0xab)]),
})
const openDice = issueChain({ algorithm: 'Ed25519', profile: 'open-dice', maker: 'open', layers: goodOpenDiceLayers })
const chains = [tcg, openDice]

/** A chain that is changed, and then signed again where that is wanted: what a device with a stolen factory key can make. */
interface Shown {
  readonly from: number
  readonly certificates: readonly Uint8Array[]
}

// One certificate as a whole, or something within what is signed.
const mutateChain: Mutation<Shown> = (shown, random, other) => {
  const index = random.below(shown.certificates.length)
  const change = (certificate: Uint8Array): Uint8Array => mutateBytes(certificate, random, other.certificates[0] ?? certificate)
  return { ...shown, certificates: shown.certificates.map((certificate, at) => (at === index ? change(certificate) : certificate)) }
}

// A value of an element exchanged, with every length above it right again.
const mutateElement: Mutation<Shown> = (shown, random) => {
  const index = random.below(shown.certificates.length)
  return {
    ...shown,
    certificates: shown.certificates.map((certificate, at) => (at === index ? changeElement(certificate, random) : certificate)),
  }
}

function changeElement(certificate: Uint8Array, random: SeededRandom): Uint8Array {
  const changed = certificate.slice()
  try {
    const all: { readonly tag: number; readonly value: Uint8Array }[] = []
    const walk = (element: ReturnType<typeof readDer>): void => {
      all.push(element)
      for (const child of element.children) walk(child)
    }
    walk(readDer(changed))
    const element = random.pick(all)
    // Views into the copy: same length, other content or another tag.
    if (random.once(3)) changed[element.value.byteOffset - 2] = random.below(256)
    else if (element.value.length > 0)
      element.value[random.below(element.value.length)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)])
  } catch {
    // It was no DER any more: it stays as the mutation before has left it.
  }
  return changed
}

// A field that a check reads, set to what it must refuse; lengths stay.
const mutateKnown: Mutation<Shown> = (shown, random) => {
  const index = random.below(shown.certificates.length)
  return {
    ...shown,
    certificates: shown.certificates.map((certificate, at) => (at === index ? changeKnown(certificate, random) : certificate)),
  }
}

function changeKnown(certificate: Uint8Array, random: SeededRandom): Uint8Array {
  const changed = certificate.slice()
  try {
    const fields = readDer(changed).children[0]?.children ?? []
    const [notBefore, notAfter] = fields[4]?.children ?? []
    const extensions = fields[7]?.children[0]?.children ?? []
    const text = (value: Uint8Array | undefined, written: string): void =>
      value?.set(Buffer.from(written, 'latin1').subarray(0, value.length))
    const claims = extensions.find(({ children: [oid] }) => oid?.value[0] === 0x67)?.children.at(-1)?.value
    const member = (tag: number): Uint8Array | undefined =>
      claims === undefined || claims[0] !== 0x30 ? undefined : readDer(claims).children.find((child) => child.tag === tag)?.value
    const last = (value: Uint8Array | undefined): void => value?.set([0x0c], value.length - 1)
    random.pick([
      () => fields[1]?.value.fill(0),
      () => text(notBefore?.value, '400101000000Z'),
      () => text(notAfter?.value, '20200101000000Z'),
      // All known ones are 2.5.29.n: the same n twice.
      () => extensions[0]?.children[0]?.value.set(extensions[1]?.children[0]?.value ?? []),
      () => member(0x83)?.fill(0xff),
      () => member(0x83)?.fill(0),
      () => member(0x84)?.fill(random.below(4)),
      () => member(0x87)?.fill(1 << (4 + random.below(4)), 1, 2),
      () => member(0x8a)?.fill(0, 1, 2),
      // The last number of a purpose, and of a hash.
      () => last(extensions.find(({ children: [oid] }) => oid?.value[2] === 0x20)?.children.at(-1)?.value),
      () =>
        last(
          member(0xa6) === undefined
            ? undefined
            : readDer(claims as Uint8Array).children.find(({ tag }) => tag === 0xa6)?.children[0]?.children[0]?.value,
        ),
      // A UEID is the first member of its extension.
      () => member(0x04)?.fill(0, 0, 1),
      () => member(0x04)?.fill(random.below(256), 1, 2),
    ])()
  } catch {
    // It was no DER any more: it stays as the mutation before has left it.
  }
  return changed
}

const mutateOrder: Mutation<Shown> = (shown, random, other) => {
  const { certificates } = shown
  const index = random.below(certificates.length)
  return {
    ...shown,
    certificates: random.pick([
      certificates.filter((_, at) => at !== index),
      [...certificates, certificates[index] as Uint8Array],
      certificates.toReversed(),
      [...certificates.slice(0, index), ...other.certificates.slice(index)],
      Array.from({ length: 11 }, () => certificates[index] as Uint8Array),
    ]),
  }
}

/** Signs every certificate again that was changed and still has something to sign. */
function signAgain({ from, certificates }: Shown): Shown {
  const { parts, certificates: good } = chains[from] as (typeof chains)[0]
  return {
    from,
    certificates: certificates.map((certificate, index) => {
      const part = parts[index]
      if (part === undefined || certificate === good[index]) return certificate
      try {
        const tbs = readDer(certificate).children[0]?.whole
        return tbs === undefined ? certificate : signCertificate(tbs, part)
      } catch {
        return certificate
      }
    }),
  }
}

const options: DiceVerifierOptions = {
  anchors: [tcg.root, { certificate: openDice.root, is: 'device' }],
  identities: 'first-use',
  referenceValues: goodReferenceValues,
  expectedLayers: [1, 2],
  required: [{ layer: 2 }],
}
/** Remembers the good certificates, as a server does: what is read anew is what was changed. */
const verifier = diceVerifier(options)
const forgetful = diceVerifier({ ...options, rememberedCertificates: 0 })

/** Appraises, and for one input of 128 once more without a memory: what is remembered must change nothing. */
async function appraise(evidence: Evidence): Promise<AttestationResult> {
  const result = await verifier.appraise(evidence, context())
  if (crc32(evidence.body) % 128 === 0) deepStrictEqual(await forgetful.appraise(evidence, context()), result)
  return result
}
const context = () => ({ ...challenge, now, references: [], state: memoryJournal(), signal: new AbortController().signal })
const failedOf = ({ checks }: AttestationResult): readonly string[] => [
  ...new Set(checks.filter(({ status }) => status === 'failed').map(({ name }) => name)),
]

// These follow from what is asked, remembered or configured, and not from the bytes of a chain alone; the table of broken chains has each.
const notFromBytes = [
  'PROFILE',
  'PROOF_PRESENT',
  'PROOF_NONCE',
  'PROOF_PURPOSE',
  'PROOF_DEVICE',
  'SVN_REMEMBERED',
  'IDENTITY',
  'CERT_PATH_LENGTH',
  'CERT_NAME_CONSTRAINTS',
  'REVOKED_CERTIFICATE',
  'REVOKED_KEY',
  'REVOKED_MEASUREMENT',
  'CONFIG_DESCRIPTOR',
  'MODE_RECOVERY',
  'MODE_NOT_SECURE',
  'DIGEST_LENGTH',
  // Takes two certificates that measure nothing.
  'MEASURED',
]
const codesOfChains: Readonly<Record<string, Fault>> = Object.fromEntries(
  Object.entries(diceErrors)
    .filter(([code, { fault }]) => fault === 'rejected' && !notFromBytes.includes(code))
    .map(([code]) => [code, 'rejected']),
)

const good = new Map(chains.map(({ certificates }, from) => [from, certificates]))

const chain = fuzzParser<Shown, AttestationResult>({
  name: 'certificate chain',
  corpus: chains.map(({ certificates }, from) => ({ from, certificates })),
  mutations: [mutateKnown, mutateKnown, mutateKnown, mutateElement, mutateElement, mutateChain, mutateOrder],
  seal: signAgain,
  // The proof is by the right key over whatever leaf is shown.
  parse: ({ from, certificates }) =>
    appraise(evidenceOf({ certificates, leafKey: (chains[from] as (typeof chains)[0]).leafKey }, challenge)),
  codesOf: (result) => failedOf(result).filter((code) => Object.hasOwn(codesOfChains, code)),
  codes: codesOfChains,
  holds(result, { from, certificates }) {
    for (const { reason = '' } of result.checks) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for here
      if (reason.length > 500 || /[\u0000-\u001f]/.test(reason))
        throw new Error(`expected a reason of one line, found ${JSON.stringify(reason)}`)
    }
    if (result.tier !== 'affirming') return
    // Nothing that is affirmed measures something else than the good chain does.
    const measured = JSON.stringify(result.measurements.map(({ digests }) => digests))
    const expected = JSON.stringify((from === 0 ? goodLayers : goodOpenDiceLayers).map(({ fwids }) => fwids))
    if (measured !== expected) throw new Error(`expected ${expected}, found that ${measured} is affirmed`)
    if (good.get(from) === undefined) throw new Error(`expected a chain of ${certificates.length}`)
  },
})

const exchangeWord: Mutation<Uint8Array> = (body, random) => {
  const [from, to] = random.pick([
    ['"confirm"', '"admit"'],
    ['"d1"', '"d2"'],
    ['"BwcH', '"CAgI'],
    [/"signature":"../, '"signature":"AA'],
  ] as const)
  return new Uint8Array(Buffer.from(Buffer.from(body).toString('latin1').replace(from, to), 'latin1'))
}

const goodEvidence = evidenceOf(tcg, challenge)

const proof = fuzzParser<Uint8Array, AttestationResult>({
  name: 'evidence with its proof',
  corpus: [goodEvidence.body],
  hostile: [new TextEncoder().encode('{"certificates":[],"proof":{}}')],
  mutations: [mutateJsonBytes, mutateJsonBytes, mutateBytes, exchangeWord],
  parse: (body) => appraise({ mediaType: diceEvidenceType, body }),
  codesOf: (result) => failedOf(result).filter((code) => Object.hasOwn(proofCodes, code)),
  codes: {
    EVIDENCE_INVALID: 'invalid',
    PROOF_NONCE: 'rejected',
    PROOF_PURPOSE: 'rejected',
    PROOF_DEVICE: 'rejected',
    PROOF_SIGNATURE: 'rejected',
    CHAIN_LIMITS: 'rejected',
    CERT_ENCODING: 'rejected',
  },
  holds(result, body) {
    if (result.tier !== 'affirming') return
    const digest = (evidence: DiceEvidence): string => createHash('sha256').update(JSON.stringify(evidence)).digest('hex')
    const shown = decodeEvidence({ mediaType: diceEvidenceType, body })
    if (digest(shown) !== digest(decodeEvidence(goodEvidence))) throw new Error('expected that nothing but the good evidence is affirmed')
  },
})
const proofCodes: Readonly<Record<string, true>> = Object.fromEntries(
  ['PROOF_NONCE', 'PROOF_PURPOSE', 'PROOF_DEVICE', 'PROOF_SIGNATURE', 'CHAIN_LIMITS', 'CERT_ENCODING'].map((code) => [code, true]),
)

const referenceValues = fuzzParser<string, unknown>({
  name: 'reference values',
  corpus: [JSON.stringify(goodReferenceValues), '[]', '[{"environment":{"vendor":"a","model":"b","layer":1,"index":0,"type":"c"}}]'],
  mutations: [
    mutateText(['{', '"', ',', '__proto__', '1e9', '-1', 'null']),
    (text, random, other) => {
      const bytes = (part: string): Uint8Array => new TextEncoder().encode(part)
      return new TextDecoder().decode(mutateJsonBytes(bytes(text), random, bytes(other)))
    },
  ],
  parse: parseReferenceValues,
  codes: { REFERENCE_VALUES_INVALID: 'invalid' },
})

const pem = fuzzParser<Uint8Array, unknown>({
  name: 'file of certificates',
  corpus: [new TextEncoder().encode(tcg.certificates.map(pemOf).join('')), tcg.root],
  mutations: [
    mutateBytes,
    (bytes, random, other) => {
      const latin1 = (part: Uint8Array): string => Buffer.from(part).toString('latin1')
      const words = mutateText(['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', '-----BEGIN PUBLIC KEY-----', '\n', '='])
      return new Uint8Array(Buffer.from(words(latin1(bytes), random, latin1(other)), 'latin1'))
    },
  ],
  parse: readBlocks,
  codes: { CERTIFICATES_INVALID: 'invalid' },
})

/** Every parser of this package. */
export const parsers: readonly ParserFuzz[] = [chain, proof, referenceValues, pem]
