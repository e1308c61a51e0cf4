import { type Descriptor, digestOf, type RunContext } from '../../src/index.ts'

/** Content that can be told apart, of any size. */
export function contentOf(seed: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let index = 0; index < size; index++) bytes[index] = index * 31 + seed * 101 + (index >> 8)
  return bytes
}

/** Compares large content quickly, and says where it differs. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (Buffer.compare(a, b) === 0) return undefined
  const at = a.findIndex((byte, index) => byte !== b[index])
  return at < 0 ? Math.min(a.length, b.length) : at
}

export function descriptorOf(bytes: Uint8Array, mediaType = 'application/octet-stream'): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

export function contextOf(signal: AbortSignal = new AbortController().signal): RunContext {
  return { signal, now: new Date('2030-01-01T00:00:00Z') }
}
