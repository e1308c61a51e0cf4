import { createHash, type Hash } from 'node:crypto'
import { fail } from '../core-errors.ts'

/** A content digest, lower case hex. OCI image spec, descriptor.md#digests. */
export type Digest = `sha256:${string}` | `sha384:${string}` | `sha512:${string}`

/** The hash algorithms that a digest may name. */
export type DigestAlgorithm = 'sha256' | 'sha384' | 'sha512'

const pattern = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/

/** Whether a text is a digest of a known algorithm, written as registries write it. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && pattern.test(text)
}

/** Reads a digest. @throws `INVALID_DIGEST` */
export function parseDigest(text: unknown): Digest {
  if (isDigest(text)) return text
  throw fail('INVALID_DIGEST', `expected a digest such as sha256:<64 hex digits>, found ${describe(text)}`)
}

/** The algorithm that a digest names. */
export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, 6) as DigestAlgorithm
}

/** The hexadecimal part. */
export function digestHex(digest: Digest): string {
  return digest.slice(7)
}

/** The digest of bytes. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

/** A running hash of the digest's own algorithm. */
export function hashFor(digest: Digest): Hash {
  return createHash(digestAlgorithm(digest))
}

function describe(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value) : `a ${typeof value}`
}
