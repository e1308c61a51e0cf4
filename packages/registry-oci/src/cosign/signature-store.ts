import {
  aborted,
  type ByteStream,
  type CallOptions,
  checked,
  collect,
  type Descriptor,
  type Digest,
  isDigest,
  isOtaError,
  manifestLimitBytes,
  type Registry,
  throwIfAborted,
} from '@reflash/core'
import { fail } from './cosign-errors.ts'
import { parseSignatureManifest, type SignatureManifest, signatureTag } from './signature-manifest.ts'

export type ReadableRegistry = Pick<Registry, 'fetch' | 'resolve'>

/** What lies under the signature tag of a digest now. */
export interface StoredSignatures {
  readonly reference: string
  readonly descriptor: Descriptor
  readonly manifest: SignatureManifest
}

/**
 * Reads content into memory: exactly as long as its descriptor says, at most `limitBytes`, and of its digest, hashed here.
 * @throws `SIGNATURE_UNREADABLE`, `ABORTED`; what the registry throws with the faults `unavailable` and `rejected`
 */
export async function readContent(
  from: ReadableRegistry,
  repository: string,
  descriptor: Descriptor,
  limitBytes: number,
  { signal }: CallOptions,
): Promise<Uint8Array> {
  const { digest, size } = descriptor
  if (!isDigest(digest) || !Number.isSafeInteger(size) || size < 0 || size > limitBytes) {
    throw fail(
      'SIGNATURE_UNREADABLE',
      `expected a digest and at most ${limitBytes} bytes, found ${String(digest).slice(0, 140)} with ${size}`,
    )
  }
  const stream = await untilAborted(() => from.fetch(repository, descriptor, signal === undefined ? {} : { signal }), signal)
  return collect(checked(stream, descriptor, signal === undefined ? {} : { signal }), limitBytes)
}

/**
 * The signature manifest of `digest`, or `undefined` where nothing is stored under its tag.
 * @throws `SIGNATURE_MANIFEST_INVALID`, `SIGNATURE_UNREADABLE`, `ABORTED`; what the registry throws with other codes than `NOT_FOUND`
 */
export async function readSignatures(
  from: ReadableRegistry,
  repository: string,
  digest: Digest,
  options: CallOptions,
): Promise<StoredSignatures | undefined> {
  const tag = signatureTag(digest)
  if (tag === undefined) return undefined
  const reference = `${repository}:${tag}`
  try {
    const descriptor = await untilAborted(() => from.resolve(reference, options), options.signal)
    const bytes = await readContent(from, repository, descriptor, manifestLimitBytes, options)
    return { reference, descriptor, manifest: parseSignatureManifest(bytes, descriptor.mediaType) }
  } catch (error) {
    if (isOtaError(error) && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}

/** A registry that hangs and does not listen to the signal must not hold the caller. It is not even asked where the signal has fired. */
async function untilAborted<T extends Descriptor | ByteStream>(ask: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  throwIfAborted(signal)
  if (signal === undefined) return ask()
  let onAbort = (): void => {}
  const cut = new Promise<never>((_, reject) => {
    onAbort = () => reject(aborted(signal))
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([ask(), cut])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
