import { AssertionError } from 'node:assert/strict'
import type { ByteStream } from '../content/byte-stream.ts'
import { concat } from '../content/byte-stream.ts'
import type { Descriptor } from '../content/descriptor.ts'
import { digestOf } from '../content/digest.ts'
import type { RunContext } from '../plugin/plugin.ts'

/** Bytes without a pattern that are the same for a seed: xorshift32, four bytes at a time. */
export function sampleBytes(size: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4))
  let word = Math.imul(seed, 0x9e37_79b1) | 1
  for (let at = 0; at < words.length; at++) {
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
    words[at] = word
  }
  return new Uint8Array(words.buffer, 0, size)
}

export function descriptorOf(bytes: Uint8Array, mediaType = 'application/octet-stream'): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

/** The one reference time of the suites: far from the present, so that a plugin which looks at its own clock is seen to do so. */
export const suiteNow = new Date('2031-05-04T03:02:01.000Z')

export function contextOf(signal: AbortSignal = new AbortController().signal): RunContext {
  return { signal, now: new Date(suiteNow) }
}

/** Bytes that are not what they claim to be. */
export interface Damaged {
  readonly name: string
  readonly bytes: Uint8Array
}

/** What a broken wire and a hostile server make of content: never the same bytes, sometimes the same size. */
export function damaged(bytes: Uint8Array): readonly Damaged[] {
  const flipped = (at: number, bit: number): Uint8Array => {
    const copy = bytes.slice()
    copy[at] = (copy[at] as number) ^ (1 << bit)
    return copy
  }
  const last = bytes.length - 1
  return [
    { name: 'without its last byte', bytes: bytes.subarray(0, last) },
    { name: 'cut in the middle', bytes: bytes.subarray(0, bytes.length >> 1) },
    { name: 'empty', bytes: bytes.subarray(0, 0) },
    { name: 'with a byte behind it', bytes: concat([bytes, Uint8Array.of(0)]) },
    { name: 'twice in a row', bytes: concat([bytes, bytes]) },
    { name: 'with its first bit flipped', bytes: flipped(0, 7) },
    { name: 'with a bit in the middle flipped', bytes: flipped(bytes.length >> 1, 3) },
    { name: 'with its last bit flipped', bytes: flipped(last, 0) },
    { name: 'shifted by one byte', bytes: concat([bytes.subarray(1), bytes.subarray(0, 1)]) },
  ].filter((one) => !sameBytes(one.bytes, bytes))
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}

/** Holds that bytes are these, and says where they differ rather than printing them. */
export function expectBytes(what: string, found: Uint8Array, expected: Uint8Array): void {
  if (!(found instanceof Uint8Array)) throw new AssertionError({ message: `${what}: expected a Uint8Array, found ${typeof found}` })
  if (sameBytes(found, expected)) return
  const at = found.findIndex((byte, index) => byte !== expected[index])
  const where = at < 0 ? `the end after ${found.length}` : `a difference at ${at}`
  throw new AssertionError({ message: `${what}: expected ${expected.length} bytes, found ${where} (${found.length} bytes)` })
}

/** Reads a stream whole. More than `limitBytes`, or a chunk that is no bytes, is a failure. */
export async function gather(what: string, stream: ByteStream, limitBytes = 64 * 1024 * 1024): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new AssertionError({ message: `${what}: expected chunks of bytes, found ${typeof chunk}` })
    size += chunk.length
    if (size > limitBytes) throw new AssertionError({ message: `${what}: expected at most ${limitBytes} bytes, found more` })
    chunks.push(chunk)
  }
  return concat(chunks, size)
}

export async function listed<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
