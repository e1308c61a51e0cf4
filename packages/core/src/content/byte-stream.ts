import { fail } from '../core-errors.ts'
import type { OtaError } from '../errors.ts'

/**
 * Bytes between all parts: any async iterable of chunks; memory never grows with the content. A chunk stays as it is once it was given: what
 * was checked is what is stored and sent, without a copy, so that a source never writes into its buffers again.
 */
export type ByteStream = AsyncIterable<Uint8Array>

/** A stream over bytes in memory, at most `chunkBytes` at a time. */
export async function* streamOf(bytes: Uint8Array, chunkBytes = 65_536): ByteStream {
  for (let offset = 0; offset < bytes.length; offset += chunkBytes) yield bytes.subarray(offset, offset + chunkBytes)
}

/**
 * Reads a whole stream into memory.
 * @throws `TOO_LARGE`, or what `tooLarge` makes, as soon as more than `limitBytes` came; the source is closed.
 */
export async function collect(
  stream: ByteStream,
  limitBytes: number,
  what = 'content',
  tooLarge = (message: string): OtaError => fail('TOO_LARGE', message, { details: { limitBytes } }),
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size > limitBytes) throw tooLarge(`${what}: expected at most ${limitBytes} bytes, found more`)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : concat(chunks, size)
}

/** One array of all chunks, `size` bytes long. */
export function concat(chunks: readonly Uint8Array[], size = chunks.reduce((sum, chunk) => sum + chunk.length, 0)): Uint8Array {
  const whole = new Uint8Array(size)
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}
