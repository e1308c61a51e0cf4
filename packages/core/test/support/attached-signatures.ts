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
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    sign: async (registry: MemoryRegistry, repository: string, subject: Descriptor): Promise<void> => {
      registry.addArtifact(repository, { artifactType, subject, content: sign(null, saidOf(subject.digest), privateKey) })
    },
  }
}

const saidOf = (digest: Digest): Uint8Array => new TextEncoder().encode(`signed: ${digest}`)

/** Makes an honest verifier for tests: Ed25519 signatures of the digest, attached as referrers. */
export function attachedSignatures({ publicKey }: { readonly publicKey: string }): SignatureVerifier {
  const key = createPublicKey(publicKey)
  return Object.freeze<SignatureVerifier>({
    kind: 'signature-verifier',
    name: 'attached-signatures',
    spec: 0,
    policy: digestOf(key.export({ type: 'spki', format: 'der' })),
    async verify({ repository, root, manifest }, context) {
      throwIfAborted(context.signal)
      const ofRoot = await signatureCheck(repository, root, key, context)
      if (ofRoot.status !== 'failed' || root.digest === manifest.digest) return { covers: 'root', checks: [ofRoot] }
      return { covers: 'manifest', checks: [await signatureCheck(repository, manifest, key, context)] }
    },
  })
}

async function signatureCheck(repository: string, subject: Descriptor, key: KeyObject, context: VerifyContext): Promise<Check> {
  const name = 'SIGNATURE'
  let unread: string | undefined
  let tried = 0
  try {
    for await (const referrer of context.from.referrers?.(repository, subject, { artifactType, signal: context.signal }) ?? []) {
      if (++tried > tries) break
      const outcome = await tryReferrer(repository, referrer, subject, key, context)
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

async function tryReferrer(repository: string, referrer: Descriptor, subject: Descriptor, key: KeyObject, context: VerifyContext) {
  try {
    const { layers } = parseManifest(await contentOf(repository, referrer, manifestLimitBytes, context), referrer.mediaType)
    const [layer] = layers
    if (layer === undefined) return 'bad'
    const signature = await contentOf(repository, layer, signatureBytes, context)
    return verify(null, saidOf(subject.digest), key, signature) ? 'good' : 'bad'
  } catch (error) {
    if (!isOtaError(error) || error.fault === 'aborted') throw error
    return error.fault === 'unavailable' ? error.message : 'bad'
  }
}

async function contentOf(
  repository: string,
  descriptor: Descriptor,
  limitBytes: number,
  { from, signal }: VerifyContext,
): Promise<Uint8Array> {
  if (!(descriptor.size <= limitBytes)) return new Uint8Array(0)
  const stream = await from.fetch(repository, descriptor, { signal })
  return collect(checked(stream, descriptor, { signal }), limitBytes)
}
