import { type CallOptions, type Descriptor, type Digest, isDigest, isOtaError, type Json, parseReference } from '@reflash/core'
import { decodeBase64 } from './base64.ts'
import { cosignErrors } from './cosign-errors.ts'
import { type Payload, parsePayload, payloadLimitBytes } from './payload.ts'
import type { PublicKey } from './public-key.ts'
import { payloadMediaType, signatureAnnotation } from './signature-manifest.ts'
import { type ReadableRegistry, readContent } from './signature-store.ts'
import { isObject } from './strict-json.ts'
import { verifyBlob } from './verify-blob.ts'

/** Characters; the signature of RSA with 8192 bits, the longest there is, takes 1368. */
const signatureLimit = 1368

/** The codes that say why a signature does not count. */
export type RefusalCode = Extract<keyof typeof cosignErrors, `SIGNATURE_${string}`>

/** What one layer of a signature manifest turned out to be. */
export type Attempt =
  | { readonly is: 'valid'; readonly key: PublicKey; readonly payload: Payload }
  | { readonly is: 'refused'; readonly code: RefusalCode; readonly why: string }
  | { readonly is: 'unreachable'; readonly why: string }

/** What a signature must say to count. */
export interface Demand {
  readonly keys: readonly PublicKey[]
  readonly digest: Digest
  /** The repository that the signature must name; `undefined`: any. */
  readonly signedRepository: string | undefined
}

/** Where payloads come from; `payloads` keeps those of one manifest, as several keys often sign one payload. */
export interface PayloadSource extends CallOptions {
  readonly from: ReadableRegistry
  readonly repository: string
  readonly payloads: Map<Digest, Uint8Array>
}

export function isSignatureLayer(layer: Json): boolean {
  return isObject(layer) && layer.mediaType === payloadMediaType
}

/**
 * Judges one signature: first that it is one, then whose, and only then what it says, so that nothing unsigned is ever parsed as a claim.
 * @throws `ABORTED` alone; all else is an answer
 */
export async function tryLayer(layer: Json, demand: Demand, source: PayloadSource): Promise<Attempt> {
  const parts = partsOf(layer)
  if (typeof parts === 'string') return refused('SIGNATURE_INVALID', parts)
  let bytes = source.payloads.get(parts.descriptor.digest)
  if (bytes === undefined) {
    try {
      bytes = await readContent(source.from, source.repository, parts.descriptor, payloadLimitBytes, source)
    } catch (error) {
      return judgeFailure(error)
    }
    source.payloads.set(parts.descriptor.digest, bytes)
  }
  const payload = bytes
  const key = demand.keys.find((candidate) => verifyBlob(candidate, payload, parts.signature))
  if (key === undefined) return refused('SIGNATURE_OTHER_KEY', 'none of the configured keys made this signature over this payload')
  return judgePayload(payload, key, demand)
}

function judgePayload(bytes: Uint8Array, key: PublicKey, { digest, signedRepository }: Demand): Attempt {
  let payload: Payload
  try {
    payload = parsePayload(bytes)
  } catch (error) {
    if (isOtaError(error)) return refused('SIGNATURE_PAYLOAD_INVALID', error.message)
    throw error
  }
  if (payload.digest !== digest) {
    return refused('SIGNATURE_OTHER_ARTIFACT', `${key.identity} signed ${shown(payload.digest)}, not ${digest}`)
  }
  if (signedRepository !== undefined && repositoryOf(payload.dockerReference) !== signedRepository) {
    return refused(
      'SIGNATURE_OTHER_IDENTITY',
      `${key.identity} signed it for ${shown(payload.dockerReference)}, not for ${shown(signedRepository)}`,
    )
  }
  return { is: 'valid', key, payload }
}

/** The repository of a docker reference, which stands there with or without a tag. */
function repositoryOf(dockerReference: string): string | undefined {
  try {
    return parseReference(dockerReference).repository
  } catch {
    return undefined
  }
}

interface Parts {
  readonly descriptor: Descriptor
  readonly signature: Uint8Array
}

/** What can be read off the layer without asking the registry, or what is wrong with it. */
function partsOf(layer: Json): Parts | string {
  if (!isObject(layer)) return 'the layer is not an object'
  const { digest, size, annotations } = layer
  if (!isDigest(digest)) return 'its digest is not one'
  if (!Number.isSafeInteger(size) || (size as number) < 1 || (size as number) > payloadLimitBytes) {
    return `expected a payload of 1 to ${payloadLimitBytes} bytes, found ${typeof size === 'number' ? size : 'no number'}`
  }
  const text = isObject(annotations) && Object.hasOwn(annotations, signatureAnnotation) ? annotations[signatureAnnotation] : undefined
  if (typeof text !== 'string') return `it has no annotation ${signatureAnnotation}`
  if (text.length > signatureLimit) return `its signature has ${text.length} characters, and at most ${signatureLimit} are read`
  const signature = decodeBase64(text)
  if (signature === undefined || signature.length === 0) return 'its signature is not base64 in its one form'
  return { descriptor: { mediaType: payloadMediaType, digest, size: size as number }, signature }
}

/** What a failed read says of a signature. @throws `ABORTED` */
export function judgeFailure(error: unknown): Exclude<Attempt, { is: 'valid' }> {
  // A plugin that fails with something else than an OtaError has decided nothing.
  if (!isOtaError(error)) return { is: 'unreachable', why: 'the registry plugin failed without saying how' }
  if (error.fault === 'aborted') throw error
  if (Object.hasOwn(cosignErrors, error.code)) return refused(error.code as RefusalCode, error.message)
  // A registry that refuses us has said nothing of a signature.
  if (error.concerns === 'access') return { is: 'unreachable', why: error.message }
  if (error.code === 'NOT_FOUND') return refused('SIGNATURE_INVALID', 'its payload is missing in the repository')
  if (error.fault === 'rejected' || error.fault === 'invalid') return refused('SIGNATURE_UNREADABLE', error.message)
  return { is: 'unreachable', why: error.message }
}

function refused(code: RefusalCode, why: string): Exclude<Attempt, { is: 'valid' }> {
  return { is: 'refused', code, why }
}

export function shown(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
