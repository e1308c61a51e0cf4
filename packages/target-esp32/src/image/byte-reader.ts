import { createHash } from 'node:crypto'
import { type ByteStream, concat, crc32, throwIfAborted } from '@reflash/core'

/**
 * Reads a stream forward once, and keeps the SHA-256 and CRC-32 of all that was consumed; memory is that of one chunk and of what
 * `take` is asked for.
 */
export class ByteReader {
  /** Bytes consumed so far. */
  position = 0
  crc32 = 0
  readonly #sha256 = createHash('sha256')
  readonly #source: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  #chunk: Uint8Array = new Uint8Array(0)

  constructor(stream: ByteStream, signal?: AbortSignal) {
    this.#source = stream[Symbol.asyncIterator]()
    this.#signal = signal
  }

  /** SHA-256 of all bytes consumed so far, lower case hex. */
  sha256(): string {
    return this.#sha256.copy().digest('hex')
  }

  /** The next `length` bytes, fewer only at the end of the stream. */
  async take(length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    const taken = await this.pass(length, (part) => parts.push(part))
    return parts.length === 1 ? (parts[0] as Uint8Array) : concat(parts, taken)
  }

  /** Consumes `length` bytes, fewer only at the end of the stream, showing each piece; returns how many there were. */
  async pass(length: number, see?: (part: Uint8Array) => void): Promise<number> {
    let left = length
    while (left > 0 && (await this.#fill())) {
      const part = this.#chunk.subarray(0, left)
      this.#chunk = this.#chunk.subarray(part.length)
      this.#sha256.update(part)
      this.crc32 = crc32(part, this.crc32)
      this.position += part.length
      left -= part.length
      see?.(part)
    }
    return length - left
  }

  /** Consumes what is left. */
  async rest(): Promise<void> {
    await this.pass(Number.MAX_SAFE_INTEGER)
  }

  /** Tells the source that no more is wanted. */
  async close(): Promise<void> {
    await this.#source.return?.()
  }

  async #fill(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      throwIfAborted(this.#signal)
      const next = await this.#source.next()
      if (next.done === true) return false
      this.#chunk = next.value
    }
    return true
  }
}
