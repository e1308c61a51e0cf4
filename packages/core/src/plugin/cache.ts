import type { ByteStream } from '../content/byte-stream.ts'
import type { Descriptor } from '../content/descriptor.ts'
import type { Plugin, RunContext } from './plugin.ts'

/** Bytes of a response: in memory, a range of a file, or a stream. */
export type Body = Uint8Array | FileRange | ByteStream

/** A range of a file that a transport may hand to the kernel. */
export interface FileRange {
  readonly path: string
  readonly offset: number
  readonly length: number
}

/** A part of an image. */
export interface ByteRange {
  readonly offset: number
  /** Bytes; to the end where absent. */
  readonly length?: number
}

/** An image at rest whose size and digest were checked. */
export interface HeldImage {
  readonly descriptor: Descriptor
  /** CRC-32 (IEEE 802.3, as zlib) of the whole image, unsigned. */
  readonly crc32: number
  open(range?: ByteRange): ByteStream
  /** The same bytes in the form that is cheapest to send. */
  body(range?: ByteRange): Body
}

/** Content-addressed and byte-bounded; manifests and signatures too, so that a restart does not need the registry. */
export interface Cache extends Plugin<'cache'> {
  /**
   * Holds the content of `descriptor`, opening the source only where it is not held yet; concurrent calls share one download, which
   * survives the abort of its first caller: `open` must end with the signal that it is given, which fires when the last caller has left,
   * and not with its caller's own. The image's descriptor is the one that was passed.
   * @throws `DIGEST_MISMATCH`, `TRUNCATED`, `TRAILING_BYTES`, `SIZE_MISMATCH` (rejected), `CACHE_FULL`, `CACHE_UNAVAILABLE` (unavailable), `ABORTED`; what `open` throws
   */
  hold(
    descriptor: Descriptor,
    open: (options: { readonly signal: AbortSignal }) => Promise<ByteStream>,
    context: RunContext,
  ): Promise<HeldImage>
}
