import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import {
  type Check,
  checked,
  collect,
  type Descriptor,
  type Digest,
  digestOf,
  isOtaError,
  manifestLimitBytes,
  type OtaError,
  parseManifest,
  type SignatureVerifier,
  throwIfAborted,
  type VerifyContext,
} from '@reflash/core'
import type { MemoryRegistry } from '@reflash/core/testing'

const artifactType = 'application/vnd.example.signature'
const signatureBytes = 64
/** Signatures of one artifact that are tried. */
const tries = 16

/** A signer's side: a signature is an artifact that refers to what it signs. */
export function attachedKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  let signatures = 0
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    sign: async (registry: MemoryRegistry, repository: string, subject: Descriptor): Promise<void> => {
      signatures += 1
      // Numbered, because the same signature would be the same artifact.
      const annotations = { 'org.example.number': String(signatures) }
      registry.addArtifact(repository, { artifactType, subject, annotations, content: sign(null, saidOf(subject.digest), privateKey) })
    },
    /** Says of an artifact that it must not be used any more. */
    revoke: async (registry: MemoryRegistry, repository: string, subject: Descriptor): Promise<void> => {
      registry.addArtifact(repository, { artifactType, subject, content: sign(null, revocationOf(subject.digest), privateKey) })
    },
  }
}

export const saidOf = (digest: Digest): Uint8Array => new TextEncoder().encode(`signed: ${digest}`)
export const revocationOf = (digest: Digest): Uint8Array => new TextEncoder().encode(`revoked: ${digest}`)

/** What a verifier does of which a mutant does one thing otherwise. */
export interface SignatureHabits {
  /** Texts of which a signature vouches for an artifact. `claimed` is what the signature's own manifest says it is of. */
  texts(subject: Descriptor, claimed: Digest | undefined, isRoot: boolean): readonly Uint8Array[]
  /** Whether the key has signed one of the texts. */
  isSigned(text: Uint8Array, key: KeyObject, signature: Uint8Array): boolean
  /** What is made of a signature that cannot be read. */
  unread(error: OtaError): 'good' | 'bad' | string
  /** Reads content; more than `limitBytes` of it is nothing that counts. */
  content(repository: string, descriptor: Descriptor, limitBytes: number, context: VerifyContext): Promise<Uint8Array>
}

export const rightHabits: SignatureHabits = {
  texts: ({ digest }) => [saidOf(digest)],
  isSigned: (text, key, signature) => verify(null, text, key, signature),
  unread: ({ fault, message }) => (fault === 'unavailable' ? message : 'bad'),
  async content(repository, descriptor, limitBytes, { from, signal }) {
    if (!(descriptor.size <= limitBytes)) return new Uint8Array(0)
    const stream = await from.fetch(repository, descriptor, { signal })
    return collect(checked(stream, descriptor, { signal }), limitBytes)
  },
}

/** Makes an honest verifier for tests: Ed25519 signatures of the digest, attached as referrers. */
export function attachedSignatures({ publicKey }: { readonly publicKey: string }): SignatureVerifier {
  return attachedVerifier(publicKey, rightHabits)
}

export function attachedVerifier(publicKey: string, habits: SignatureHabits): SignatureVerifier {
  const key = createPublicKey(publicKey)
  return Object.freeze<SignatureVerifier>({
    kind: 'signature-verifier',
    name: 'attached-signatures',
    spec: 0,
    policy: digestOf(key.export({ type: 'spki', format: 'der' })),
    async verify({ repository, root, manifest }, context) {
      throwIfAborted(context.signal)
      const isAlone = root.digest === manifest.digest
      const ofRoot = await signatureCheck({ repository, subject: root, isRoot: !isAlone, key, context, habits })
      if (ofRoot.status !== 'failed' || isAlone) return { covers: 'root', checks: [ofRoot] }
      return { covers: 'manifest', checks: [await signatureCheck({ repository, subject: manifest, isRoot: false, key, context, habits })] }
    },
  })
}

interface Search {
  readonly repository: string
  readonly subject: Descriptor
  /** Whether it is the index of another manifest. */
  readonly isRoot: boolean
  readonly key: KeyObject
  readonly context: VerifyContext
  readonly habits: SignatureHabits
}

async function signatureCheck(search: Search): Promise<Check> {
  const { repository, subject, context } = search
  const name = 'SIGNATURE'
  let unread: string | undefined
  let tried = 0
  try {
    for await (const referrer of context.from.referrers?.(repository, subject, { artifactType, signal: context.signal }) ?? []) {
      if (++tried > tries) break
      const outcome = await tryReferrer(referrer, search)
      if (outcome === 'good') return { name, status: 'passed' }
      if (outcome !== 'bad') unread = outcome
    }
  } catch (error) {
    throwIfAborted(context.signal)
    if (!isOtaError(error) || error.fault !== 'unavailable') throw error
    unread = error.message
  }
  if (unread !== undefined) return { name, status: 'inconclusive', reason: unread }
  return { name, status: 'failed', reason: `expected a signature of ${subject.digest}, found none among ${tried}` }
}

async function tryReferrer(referrer: Descriptor, { repository, subject, isRoot, key, context, habits }: Search) {
  try {
    const bytes = await habits.content(repository, referrer, manifestLimitBytes, context)
    const { layers, subject: claimed } = parseManifest(bytes, referrer.mediaType)
    const [layer] = layers
    if (layer === undefined) return 'bad'
    const signature = await habits.content(repository, layer, signatureBytes, context)
    const texts = habits.texts(subject, claimed?.digest, isRoot)
    return texts.some((text) => habits.isSigned(text, key, signature)) ? 'good' : 'bad'
  } catch (error) {
    if (!isOtaError(error) || error.fault === 'aborted') throw error
    return habits.unread(error)
  }
}
