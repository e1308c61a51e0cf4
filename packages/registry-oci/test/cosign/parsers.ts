import { createPublicKey, type KeyObject } from 'node:crypto'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { type Check, type Digest, digestOf, mediaTypes, type VerificationResult } from '@reflash/core'
import { fuzzParser, type Mutation, mutateBytes, mutateJsonBytes, mutateText, type ParserFuzz } from '@reflash/core/testing'
import { cosignVerifier } from '../../src/cosign/cosign-verifier.ts'
import { openSealed, parseKeyFile } from '../../src/cosign/key-file.ts'
import { formatPayload, type Payload, parsePayload } from '../../src/cosign/payload.ts'
import { formatPem, parsePem } from '../../src/cosign/pem.ts'
import { parsePublicKey } from '../../src/cosign/public-key.ts'
import { parseSignatureManifest, type SignatureManifest } from '../../src/cosign/signature-manifest.ts'
import { openUnencryptedKey, type SigningKey, signingKey } from '../../src/cosign/signing-key.ts'
import { fixedEcKey, fixedEdKey, fixedRsaKey, fixedRsaPublicKey } from './fixed-keys.ts'
import { contextOf, layerJson, manifestOf, putSignatures, repository, scene, utf8 } from './scene.ts'

const digest: Digest = `sha256:${'a'.repeat(64)}`

const payload = fuzzParser<Uint8Array, Payload>({
  name: 'cosign payload',
  corpus: [
    formatPayload({ digest, dockerReference: repository, optional: { a: [1, { b: 'c' }] } }),
    formatPayload({ digest: digestOf(utf8('')), dockerReference: `${repository}:1.0.0` }),
  ],
  mutations: [mutateJsonBytes, mutateJsonBytes, mutateBytes],
  parse: parsePayload,
  codes: { SIGNATURE_PAYLOAD_INVALID: 'rejected' },
  holds: ({ digest, dockerReference }) => expectText(digest, dockerReference),
})

const signatureManifest = fuzzParser<Uint8Array, SignatureManifest>({
  name: 'cosign signature manifest',
  corpus: [manifestOf([{ digest: 'x', size: 1, annotations: { a: 'b' } }, { mediaType: 'y' }]), manifestOf([])].map((document) =>
    utf8(JSON.stringify(document)),
  ),
  mutations: [mutateJsonBytes, mutateJsonBytes, mutateBytes],
  parse: (bytes) => parseSignatureManifest(bytes, mediaTypes.manifest),
  codes: { SIGNATURE_MANIFEST_INVALID: 'rejected' },
  holds: ({ layers }) => {
    if (!Array.isArray(layers)) throw new Error('expected layers')
  },
})

const edKey = fixedEdKey('a')
const keys = [fixedEcKey('P-256', 'a'), fixedEcKey('P-384', 'b'), fixedEcKey('P-521', 'c'), edKey]
const weakKeys = [fixedRsaKey(1024, 65_537, 'weak'), fixedRsaKey(1024, 3, 'three')]
const foreignKeys = [fixedEcKey('secp256k1', 'k')]

const spki = (key: KeyObject): Uint8Array => new Uint8Array(publicOf(key).export({ type: 'spki', format: 'der' }))
const pkcs8 = (key: KeyObject): Uint8Array => new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }))
const publicOf = (key: KeyObject): KeyObject => (key.type === 'public' ? key : createPublicKey(key))
const smallOrder = spki(edKey).fill(0, -32)

/** Changes what stands in a block of PEM, which then is a block again; what is none is changed as text is. */
const insidePem =
  (mutation: Mutation<Uint8Array>): Mutation<string> =>
  (text, random, other) => {
    const [block, second] = [parsePem(text), parsePem(other)]
    if (typeof block === 'string') return mutateText()(text, random, other)
    return formatPem(block.label, mutation(block.bytes, random, typeof second === 'string' ? block.bytes : second.bytes))
  }

const pemWords = [
  '-----BEGIN PUBLIC KEY-----',
  '-----END PUBLIC KEY-----',
  '\n',
  '\r\n',
  '=',
  'A',
  'PRIVATE KEY',
  'ENCRYPTED ',
  'Proc-Type: 4,ENCRYPTED\n',
]

const publicKeyDer = fuzzParser<Uint8Array, unknown>({
  name: 'public key (DER)',
  corpus: [...keys.map(spki), spki(fixedRsaPublicKey(2048, 65_537, 'n'))],
  hostile: [
    ...[...weakKeys, ...foreignKeys, fixedRsaPublicKey(16_384, 65_537, 'long'), fixedRsaPublicKey(2048, 4, 'even')].map(spki),
    smallOrder,
  ],
  mutations: [mutateBytes],
  parse: (der) => parsePublicKey(der),
  codes: { PUBLIC_KEY_INVALID: 'invalid', PUBLIC_KEY_WEAK: 'invalid' },
})

const publicKeyPem = fuzzParser<string, unknown>({
  name: 'public key (PEM)',
  corpus: [...keys, fixedRsaPublicKey(3072, 65_537, 'n')].map((key) => formatPem('PUBLIC KEY', spki(key))),
  hostile: weakKeys.map((key) => formatPem('PUBLIC KEY', spki(key))),
  mutations: [mutateText(pemWords), insidePem(mutateBytes)],
  parse: (pem) => parsePublicKey(pem),
  codes: { PUBLIC_KEY_INVALID: 'invalid', PUBLIC_KEY_WEAK: 'invalid' },
})

const plainKey = fuzzParser<string, SigningKey>({
  name: 'unencrypted private key',
  corpus: keys.map((key) => formatPem('PRIVATE KEY', pkcs8(key))),
  hostile: [
    ...[...weakKeys, ...foreignKeys].map((key) => formatPem('PRIVATE KEY', pkcs8(key))),
    formatPem('ENCRYPTED PRIVATE KEY', utf8('locked')),
    formatPem('ENCRYPTED SIGSTORE PRIVATE KEY', utf8('locked')),
  ],
  mutations: [mutateText(pemWords), insidePem(mutateBytes), insidePem(mutateBytes)],
  parse: openUnencryptedKey,
  codes: { KEY_FILE_INVALID: 'invalid', KEY_ENCRYPTED: 'invalid', PUBLIC_KEY_INVALID: 'invalid', PUBLIC_KEY_WEAK: 'invalid' },
})

const base64 = (sizeBytes: number): string => Buffer.alloc(sizeBytes, 7).toString('base64')
const keyDocument = {
  kdf: { name: 'scrypt', params: { N: 65_536, r: 8, p: 1 }, salt: base64(32) },
  cipher: { name: 'nacl/secretbox', nonce: base64(24) },
  ciphertext: base64(150),
}

const keyFile = fuzzParser<string, unknown>({
  name: 'cosign.key file',
  corpus: ['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY'].map((label) =>
    formatPem(label, utf8(JSON.stringify(keyDocument))),
  ),
  hostile: [formatPem('PRIVATE KEY', pkcs8(edKey))],
  mutations: [mutateText(pemWords), insidePem(mutateJsonBytes), insidePem(mutateJsonBytes), insidePem(mutateJsonBytes)],
  parse: parseKeyFile,
  codes: { KEY_FILE_INVALID: 'invalid', KEY_FILE_TOO_COSTLY: 'invalid', KEY_NOT_ENCRYPTED: 'invalid' },
  holds: (read) => {
    const { N, r, p } = read as { readonly N: number; readonly r: number; readonly p: number }
    if (128 * r * (N + p) > 2 ** 31 + 2 ** 28 || N * r * p > 2 ** 23)
      throw new Error(`expected a bounded cost, found N=${N}, r=${r}, p=${p}`)
  },
})

const secret = new Uint8Array(32).fill(9)
const nonce = new Uint8Array(24).fill(8)
const sealedKey = (key: KeyObject): Uint8Array => xsalsa20poly1305(secret, nonce).encrypt(pkcs8(key))

/** Changes what is encrypted, and encrypts it again. */
const insideBox: Mutation<Uint8Array> = (box, random, other) => {
  try {
    const [mine, theirs] = [box, other].map((bytes) => xsalsa20poly1305(secret, nonce).decrypt(bytes)) as [Uint8Array, Uint8Array]
    return xsalsa20poly1305(secret, nonce).encrypt(mutateBytes(mine, random, theirs))
  } catch {
    return mutateBytes(box, random, other)
  }
}

const openedKey = fuzzParser<Uint8Array, SigningKey>({
  name: 'content of a cosign.key file',
  corpus: keys.map(sealedKey),
  hostile: [...weakKeys, ...foreignKeys].map(sealedKey),
  mutations: [mutateBytes, insideBox, insideBox, insideBox],
  parse: (ciphertext) => openSealed({ nonce, ciphertext }, secret),
  codes: { KEY_PASSWORD_WRONG: 'invalid', KEY_FILE_INVALID: 'invalid', PUBLIC_KEY_INVALID: 'invalid', PUBLIC_KEY_WEAK: 'invalid' },
})

/** Signatures as a registry stores them; `by` signs again where the input is sealed, `document` stands for the manifest that lists them. */
interface Stored {
  readonly layers: readonly { readonly payload: Uint8Array; readonly signature: Uint8Array; readonly by: SigningKey }[]
  readonly document?: Uint8Array
}

const { manifest } = await scene()
const [alice, bob, mallory] = ['alice', 'bob', 'mallory'].map((name) => signingKey(fixedEdKey(name))) as [
  SigningKey,
  SigningKey,
  SigningKey,
]
const claim = formatPayload({ digest: manifest.digest, dockerReference: repository })
const elsewhere = formatPayload({ digest: manifest.digest, dockerReference: 'other.test/app' })
const layerOf = (by: SigningKey, bytes = claim) => ({ payload: bytes, signature: by.sign(bytes) as Uint8Array, by })
const verifier = cosignVerifier({ keys: [alice.publicKeyPem, bob.publicKeyPem], threshold: 2, identity: 'match-repository' })
const good: Stored = { layers: [layerOf(alice), layerOf(bob)] }

const changeLayer =
  (
    change: (layer: Stored['layers'][number], ...rest: Parameters<Mutation<Uint8Array>>) => Partial<Stored['layers'][number]>,
  ): Mutation<Stored> =>
  (stored, random) => {
    if (stored.layers.length === 0) return stored
    const at = random.below(stored.layers.length)
    const layers = stored.layers.map((layer, index) =>
      index === at ? { ...layer, ...change(layer, layer.payload, random, elsewhere) } : layer,
    )
    return { ...stored, layers }
  }

const storedSignatures = fuzzParser<Stored, VerificationResult>({
  name: 'stored cosign signatures, verified',
  corpus: [good],
  hostile: [{ layers: [] }, { layers: [layerOf(mallory), layerOf(alice, elsewhere)] }],
  mutations: [
    changeLayer((_, ...input) => ({ payload: mutateBytes(...input) })),
    changeLayer((_, ...input) => ({ payload: mutateJsonBytes(...input) })),
    changeLayer(() => ({ payload: formatPayload({ digest, dockerReference: repository }) })),
    changeLayer(({ signature }, _, random) => ({ signature: mutateBytes(signature, random, signature) })),
    changeLayer((_, _bytes, random) => ({ by: random.pick([alice, bob, mallory]) })),
    (stored, random) => ({ ...stored, layers: stored.layers.slice(random.below(3)) }),
    (stored, random) => {
      const { registry } = emptyScene
      const bytes = utf8(JSON.stringify(manifestOf(stored.layers.map((layer) => layerJson(registry, layer)))))
      return { ...stored, document: mutateJsonBytes(bytes, random, bytes) }
    },
  ],
  seal: (stored) => ({ ...stored, layers: stored.layers.map(({ by, payload }) => layerOf(by, payload)) }),
  parse: async ({ layers, document }) => {
    const { registry, subject } = await scene()
    const listed = manifestOf(layers.map((layer) => layerJson(registry, layer)))
    await putSignatures(registry, manifest.digest, document ?? listed)
    return verifier.verify(subject, contextOf(registry))
  },
  codesOf: ({ checks }) => checks.filter(isFailed).map(({ name }) => name),
  codes: Object.fromEntries(
    [
      'SIGNATURE_NOT_FOUND',
      'SIGNATURE_MANIFEST_INVALID',
      'SIGNATURE_INVALID',
      'SIGNATURE_UNREADABLE',
      'SIGNATURE_OTHER_KEY',
      'SIGNATURE_PAYLOAD_INVALID',
      'SIGNATURE_OTHER_ARTIFACT',
      'SIGNATURE_OTHER_IDENTITY',
      'SIGNATURE_THRESHOLD',
    ].map((code) => [code, 'rejected']),
  ),
  // What passes is vouched for by both keys, whatever else stands there.
  holds: ({ checks, signer }) => {
    if (checks.some(isFailed)) return
    if (signer?.identity !== [alice.identity, bob.identity].sort().join(' '))
      throw new Error(`expected both keys, found ${signer?.identity}`)
  },
})

const emptyScene = await scene()

function isFailed({ status }: Check): boolean {
  return status !== 'passed' && status !== 'skipped'
}

function expectText(...texts: readonly unknown[]): void {
  if (!texts.every((text) => typeof text === 'string')) throw new Error('expected text')
}

/** The parsers of signatures and keys. */
export const cosignParsers: readonly ParserFuzz[] = [
  payload,
  signatureManifest,
  publicKeyDer,
  publicKeyPem,
  plainKey,
  keyFile,
  openedKey,
  storedSignatures,
]
