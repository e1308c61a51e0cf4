import {
  type CallOptions,
  type Descriptor,
  type Digest,
  digestOf,
  isDigest,
  isOtaError,
  type Json,
  manifestLimitBytes,
  mediaTypes,
  parseReference,
  type Registry,
  streamOf,
} from '@reflash/core'
import { signatureTries } from './appraise-signatures.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { fail } from './cosign-errors.ts'
import { formatPayload, payloadLimitBytes } from './payload.ts'
import { type PublicKey, parsePublicKey } from './public-key.ts'
import {
  appendSignature,
  layerLimit,
  type SignatureManifest,
  type StoredContent,
  signatureAnnotation,
  signatureTag,
} from './signature-manifest.ts'
import { readContent, readSignatures, type StoredSignatures } from './signature-store.ts'
import type { SigningKey } from './signing-key.ts'
import { isObject } from './strict-json.ts'
import { isSignatureLayer } from './try-layer.ts'
import { verifyBlob } from './verify-blob.ts'

/** Times that a signature is written again after another signer replaced it; each lost race means that another one was won. */
const writes = 5

/** What cosign can parse, which is more than it makes: it refuses a whole signature where the claim is not a name with or without a tag. */
const dockerReferencePattern =
  /^(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?\/)?[a-z0-9._-]+(?:\/[a-z0-9._-]+)*(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$/
const dockerReferenceLimit = 255

/** A layout is a folder: its name would give away where it lay, and change with every copy. */
const layoutReference = 'localhost/oci-layout'

export interface SignOptions extends CallOptions {
  /** What the signature claims to be made for. @default the repository without tag; for a layout on disk `localhost/oci-layout` */
  readonly dockerReference?: string
  /** Further claims to be signed, as `cosign sign -a key=value` makes them; reflash reads none of them. */
  readonly optional?: Readonly<Record<string, Json>>
}

export interface SignedArtifact {
  /** What is signed, pinned by digest. */
  readonly subject: Descriptor
  /** The tag under which its signatures lie. */
  readonly reference: string
  /** The signature manifest as it was read back. */
  readonly signatures: Descriptor
  /** False where the same key had signed the same claims before. */
  readonly added: boolean
}

/**
 * Signs a manifest or an index: afterwards the signature lies under `sha256-<hex>.sig` in the same repository, beside those that were
 * there. A tag is resolved once and what it names is read and hashed here; name a digest where the registry is not trusted to say what
 * the tag should be. No registry offers compare-and-set on a tag, so of two signers at the very same time one may remove the other's
 * signature: what was written is read back and written again where it is gone, which leaves a window as short as one request.
 * @throws `SIGNING_UNSUPPORTED`, `SIGNING_OPTIONS_INVALID`, `SIGNING_KEY_MISMATCH`, `SIGNATURE_TAG_OCCUPIED`, `SIGNATURES_FULL`,
 * `SIGNATURE_LOST`, `SIGNATURE_UNREADABLE`, `INVALID_REFERENCE`, `NOT_FOUND`, `ABORTED`; what the registry throws
 */
export async function signArtifact(
  registry: Registry,
  reference: string,
  key: SigningKey,
  options: SignOptions = {},
): Promise<SignedArtifact> {
  const writer = writerOf(registry)
  const { repository, digest } = parseReference(reference)
  const payloadFor = claims(repository, options)
  const call = options.signal === undefined ? {} : { signal: options.signal }
  const subject = await pin(registry, reference, repository, digest, call)
  const made = await sign(payloadFor(subject.digest), key, call)
  for (let written = 0; ; written++) {
    const existing = await present(registry, repository, subject.digest, call)
    if (existing !== undefined && hasSignature(existing.manifest, made)) {
      return { subject, reference: existing.reference, signatures: existing.descriptor, added: written > 0 }
    }
    if (written === writes) throw fail('SIGNATURE_LOST', `${reference}: expected the signature to stay, found it replaced ${writes} times`)
    await write(writer, `${repository}:${signatureTag(subject.digest)}`, existing?.manifest, made, call)
  }
}

type Writer = Required<Pick<Registry, 'push' | 'tag'>>

function writerOf({ name, push, tag }: Registry): Writer {
  if (push === undefined || tag === undefined) throw fail('SIGNING_UNSUPPORTED', `expected a registry with push and tag, found ${name}`)
  return { push, tag }
}

/** Payload and config first: a registry refuses a manifest whose parts it does not hold, and no reader ever sees half a signature. */
async function write(
  { push, tag }: Writer,
  reference: string,
  existing: SignatureManifest | undefined,
  { payload, signature }: MadeSignature,
  call: CallOptions,
): Promise<void> {
  const { repository } = parseReference(reference)
  const next = appendSignature(existing, { payload, signature: encodeBase64(signature) })
  refuseFull(reference, existing, next.manifest)
  for (const { descriptor, bytes } of [next.payload, next.config, next.manifest])
    await push(repository, descriptor, () => streamOf(bytes), call)
  await tag(next.manifest.descriptor, reference, call)
}

interface MadeSignature {
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly publicKey: PublicKey
}

/** Checks what the caller wants to claim before anything is asked of the registry. */
function claims(
  repository: string,
  { dockerReference = repository.startsWith('oci:') ? layoutReference : repository, optional = {} }: SignOptions,
) {
  if (dockerReference.length > dockerReferenceLimit || !dockerReferencePattern.test(dockerReference)) {
    const found = JSON.stringify(dockerReference.slice(0, 200))
    throw fail(
      'SIGNING_OPTIONS_INVALID',
      `dockerReference: expected host[:port]/repository[:tag] with at most ${dockerReferenceLimit} characters, found ${found}`,
    )
  }
  return (digest: Digest): Uint8Array => {
    const payload = formatPayload({ digest, dockerReference, optional })
    if (payload.length <= payloadLimitBytes) return payload
    throw fail('SIGNING_OPTIONS_INVALID', `optional: expected a payload of at most ${payloadLimitBytes} bytes, found ${payload.length}`)
  }
}

/** What the reference names now, seen with own eyes: a signature says that these bytes were meant. */
async function pin(
  registry: Registry,
  reference: string,
  repository: string,
  digest: Digest | undefined,
  call: CallOptions,
): Promise<Descriptor> {
  const { mediaType, size, ...found } = await registry.resolve(reference, call)
  const subject = { mediaType, digest: digest ?? found.digest, size }
  const manifests: readonly string[] = [mediaTypes.manifest, mediaTypes.index, mediaTypes.dockerManifest, mediaTypes.dockerIndex]
  if (!isDigest(subject.digest) || !manifests.includes(mediaType)) {
    throw fail('SIGNING_OPTIONS_INVALID', `${reference}: expected a manifest or an index, found ${JSON.stringify(mediaType)}`)
  }
  if (signatureTag(subject.digest) === undefined) {
    throw fail('SIGNING_OPTIONS_INVALID', `${reference}: expected a SHA-256 digest, found one that no signature tag can hold`)
  }
  await readContent(registry, repository, subject, manifestLimitBytes, call)
  return subject
}

async function sign(payload: Uint8Array, key: SigningKey, call: CallOptions): Promise<MadeSignature> {
  const publicKey = parsePublicKey(key.publicKeyPem)
  const signature = await key.sign(payload, call)
  if (verifyBlob(publicKey, payload, signature)) return { payload, signature, publicKey }
  throw fail('SIGNING_KEY_MISMATCH', `expected a signature by ${publicKey.identity}, found one that it does not verify; nothing was pushed`)
}

async function present(registry: Registry, repository: string, digest: Digest, call: CallOptions): Promise<StoredSignatures | undefined> {
  try {
    const stored = await readSignatures(registry, repository, digest, call)
    const layers = stored?.manifest.layers ?? []
    if (layers.length === 0 || layers.some(isSignatureLayer)) return stored
    throw fail('SIGNATURE_MANIFEST_INVALID', `expected signatures, found ${layers.length} layers of other types`)
  } catch (error) {
    if (!isOtaError(error) || error.code !== 'SIGNATURE_MANIFEST_INVALID') throw error
    throw fail('SIGNATURE_TAG_OCCUPIED', `${repository}:${signatureTag(digest)}: ${error.message}; nothing was overwritten`, {
      cause: error,
    })
  }
}

/** ECDSA signatures hold a random number: the same claims signed again by the same key are no second signature. */
function hasSignature({ layers }: SignatureManifest, { payload, publicKey }: MadeSignature): boolean {
  const digest = digestOf(payload)
  const tried = layers.filter(isSignatureLayer).slice(0, signatureTries)
  return tried.some((layer) => {
    if (!isObject(layer) || layer.digest !== digest || !isObject(layer.annotations)) return false
    const text = layer.annotations[signatureAnnotation]
    const signature = typeof text === 'string' ? decodeBase64(text) : undefined
    return signature !== undefined && verifyBlob(publicKey, payload, signature)
  })
}

/** What no verifier would read must not be written. */
function refuseFull(reference: string, existing: SignatureManifest | undefined, { descriptor }: StoredContent): void {
  const count = existing?.layers.filter(isSignatureLayer).length ?? 0
  const layers = existing?.layers.length ?? 0
  if (count < signatureTries && layers < layerLimit && descriptor.size <= manifestLimitBytes) return
  const limits = `${signatureTries} signatures, ${layerLimit} layers and ${manifestLimitBytes} bytes`
  throw fail(
    'SIGNATURES_FULL',
    `${reference}: expected room within ${limits}, found ${count}, ${layers} and ${descriptor.size} with the new one`,
  )
}
