import type { Hash } from 'node:crypto'
import { fail } from '../core-errors.ts'
import { aborted } from './abort.ts'
import type { ByteStream } from './byte-stream.ts'
import { crc32 } from './crc32.ts'
import type { Descriptor } from './descriptor.ts'
import { type Digest, digestAlgorithm, hashFor, parseDigest } from './digest.ts'

/** What one pass over content has proven. */
export interface CheckedContent {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /** CRC-32 (IEEE 802.3, as zlib) of the whole, unsigned. */
  readonly crc32: number
}

/** Who is told of a pass, and what ends it. */
export interface CheckedOptions {
  /** Called once, when everything has been checked and before the last chunk is passed on. */
  readonly onDone?: (content: CheckedContent) => void
  /** Bytes checked so far. */
  readonly onProgress?: (done: number) => void
  /** Takes a copy of the content on the way; at least `size` bytes long. */
  readonly copyTo?: Uint8Array | undefined
  /** Ends the stream with `ABORTED` and closes the source, even one that does not answer. */
  readonly signal?: AbortSignal
}

/** What content claims to be. */
export type Claim = Pick<Descriptor, 'size' | 'digest'>
type Result = IteratorResult<Uint8Array, undefined>

/**
 * Passes a stream on while its size, digest and CRC-32 are taken in one pass. The last chunk is passed on only after the whole has proven
 * right and the source has ended, so that nobody ever sees complete content which is not what its descriptor claims.
 * @throws `TRAILING_BYTES` at the first byte too many, `TRUNCATED` at the end where some are missing; `DIGEST_MISMATCH`; `ABORTED`;
 * `INVALID_DESCRIPTOR`, `INVALID_DIGEST` at once; what the source throws. The source is closed in every case.
 */
export function checked(stream: ByteStream, descriptor: Claim, options: CheckedOptions = {}): ByteStream {
  checkClaim(descriptor)
  const claim = { size: descriptor.size, digest: descriptor.digest }
  return { [Symbol.asyncIterator]: () => new Pass(stream[Symbol.asyncIterator](), claim, options) }
}

/** @throws `INVALID_DESCRIPTOR`, `INVALID_DIGEST` where no content can be what is claimed */
export function checkClaim({ size, digest }: Claim): void {
  if (!Number.isSafeInteger(size) || size < 0) {
    throw fail('INVALID_DESCRIPTOR', `size: expected bytes as an integer from 0 to 2^53-1, found ${String(size)}`)
  }
  parseDigest(digest)
}

// Written out as an iterator, not as an async generator: it costs fewer promises per chunk, and it can leave a source that hangs.
class Pass implements AsyncIterator<Uint8Array, undefined> {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #claim: Claim
  readonly #options: CheckedOptions
  readonly #hash: Hash
  #size = 0
  #crc = 0
  #last: Uint8Array | undefined
  #over = false
  #failure: { readonly error: unknown } | undefined
  #cut: (error: unknown) => void = () => {}

  constructor(source: AsyncIterator<Uint8Array>, claim: Claim, options: CheckedOptions) {
    this.#source = source
    this.#claim = claim
    this.#options = options
    this.#hash = hashFor(claim.digest)
    if (options.signal?.aborted) this.#onAbort()
    else options.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  next(): Promise<Result> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    if (this.#over) return Promise.resolve(end)
    if (this.#options.signal === undefined) return this.#pull()
    return new Promise((resolve, reject) => {
      this.#cut = reject
      this.#pull().then(resolve, reject)
    })
  }

  return(): Promise<Result> {
    this.#close()
    return Promise.resolve(end)
  }

  #pull(): Promise<Result> {
    return this.#source.next().then(this.#take, this.#fail)
  }

  readonly #take = (result: IteratorResult<Uint8Array>): Result | Promise<Result> => {
    if (this.#over) return end
    try {
      return result.done ? this.#finish() : this.#check(result.value)
    } catch (error) {
      return this.#fail(error)
    }
  }

  #check(chunk: Uint8Array): Result | Promise<Result> {
    // A string has a length too, of characters.
    if (!(chunk instanceof Uint8Array)) throw fail('BROKEN_PLUGIN', `expected chunks of type Uint8Array, found ${typeof chunk}`)
    const size = this.#size + chunk.length
    if (size > this.#claim.size) throw this.#wrongSize('TRAILING_BYTES', `at least ${size}`)
    this.#hash.update(chunk)
    this.#crc = crc32(chunk, this.#crc)
    this.#options.copyTo?.set(chunk, this.#size)
    this.#size = size
    this.#options.onProgress?.(size)
    if (size < this.#claim.size) return { done: false, value: chunk }
    // The last chunk waits for the end of the source.
    if (chunk.length > 0) this.#last = chunk
    return this.#pull()
  }

  #finish(): Result {
    const { size, digest } = this.#claim
    if (this.#size < size) throw this.#wrongSize('TRUNCATED', `the end after ${this.#size}`)
    const found: Digest = `${digestAlgorithm(digest)}:${this.#hash.digest('hex')}`
    if (found !== digest) {
      throw fail('DIGEST_MISMATCH', `expected ${digest}, found ${found}; nothing was used`, { details: { expected: digest, found } })
    }
    this.#over = true
    this.#release()
    this.#options.onDone?.({ digest, size, crc32: this.#crc })
    return this.#last === undefined ? end : { done: false, value: this.#last }
  }

  #wrongSize(code: 'TRUNCATED' | 'TRAILING_BYTES', found: string): Error {
    const { digest, size } = this.#claim
    return fail(code, `${digest}: expected ${size} bytes, found ${found}; nothing was used`, {
      details: { digest, expected: size },
    })
  }

  readonly #onAbort = (): void => {
    const error = aborted(this.#options.signal as AbortSignal)
    this.#fail(error).catch(() => {})
    this.#cut(error)
  }

  readonly #fail = (error: unknown): Promise<never> => {
    this.#failure ??= { error }
    this.#close()
    return Promise.reject(error)
  }

  #close(): void {
    if (this.#over) return
    this.#over = true
    this.#release()
    // Not awaited: a source that hangs answers to `return` only after its present chunk, which may never come.
    void Promise.resolve(this.#source.return?.()).catch(() => {})
  }

  #release(): void {
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
  }
}

const end: Result = Object.freeze({ done: true, value: undefined })
