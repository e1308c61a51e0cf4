import { type ByteRange, crc32, digestOf, type HeldImage, type RunContext, streamOf } from '@reflash/core'

/** An image at rest, in memory. `chunkBytes` is how it streams. */
export function heldImage(bytes: Uint8Array, chunkBytes?: number, algorithm?: 'sha256' | 'sha512'): HeldImage {
  const part = ({ offset = 0, length }: Partial<ByteRange> = {}): Uint8Array =>
    bytes.subarray(offset, length === undefined ? undefined : offset + length)
  return {
    descriptor: { mediaType: 'application/octet-stream', digest: digestOf(bytes, algorithm), size: bytes.length },
    crc32: crc32(bytes),
    open: (range) => streamOf(part(range), chunkBytes),
    body: part,
  }
}

export const context: RunContext = { signal: new AbortController().signal, now: new Date('2026-01-01T00:00:00Z') }
