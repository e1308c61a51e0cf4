import type { ByteStream } from '../../content/byte-stream.ts'
import { crc32 } from '../../content/crc32.ts'
import type { ByteRange, HeldImage } from '../../plugin/cache.ts'
import { descriptorOf } from '../content.ts'
import { plainSource } from '../sources.ts'

export interface HeldOptions {
  /** Bytes per chunk of its streams. */
  readonly chunkBytes?: number
  /** What is read in its place, as a failing disk gives it. */
  readonly read?: (range: ByteRange | undefined, honest: ByteStream) => ByteStream
}

/** An image at rest, in memory. */
export function heldImage(bytes: Uint8Array, { chunkBytes, read = (_, honest) => honest }: HeldOptions = {}): HeldImage {
  const part = ({ offset = 0, length }: Partial<ByteRange> = {}): Uint8Array =>
    bytes.subarray(offset, length === undefined ? undefined : offset + length)
  return Object.freeze<HeldImage>({
    descriptor: Object.freeze(descriptorOf(bytes)),
    crc32: crc32(bytes),
    open: (range) => read(range, plainSource(part(range), chunkBytes).open()),
    body: part,
  })
}
