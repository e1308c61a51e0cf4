import { coreError, crc32, type Digest, isDigest, isJsonObject, type JsonObject, parseJsonObject } from '@reflash/core'
import { fail } from '../mqtt-errors.ts'

/** What a JSON message may have, bytes: a check-in with four certificates as evidence is 9 KB in base64. */
export const jsonLimitBytes = 64 * 1024
/** The largest number that a message may be known by. */
const uint32 = 0xffff_ffff

/** Reads one JSON object as core does, of at most `jsonLimitBytes`. @throws `INVALID_MESSAGE` */
export function parseJson(bytes: Uint8Array): JsonObject {
  if (bytes.length > jsonLimitBytes) throw invalid('payload', `at most ${jsonLimitBytes} bytes`, `${bytes.length}`)
  return parseJsonObject(bytes, refuse)
}

const refuse = (expected: string, found: string): Error => invalid('payload', expected, found)

/** @throws `TOO_LARGE` */
export function encodeJson(value: object): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(value))
  if (bytes.length <= jsonLimitBytes) return bytes
  throw coreError('TOO_LARGE', `message: expected at most ${jsonLimitBytes} bytes of JSON, found ${bytes.length}`)
}

/**
 * A sealed message, for what a device does at once:
 *
 *   off  size  field
 *     0     4  CRC-32 of all that follows, big endian
 *     4     n  one JSON object
 *
 * @throws `TOO_LARGE`
 */
export function sealJson(value: object): Uint8Array {
  const text = encodeJson(value)
  const sealed = Buffer.allocUnsafe(4 + text.length)
  sealed.writeUInt32BE(crc32(text), 0)
  sealed.set(text, 4)
  return sealed
}

/** @throws `CHUNK_CORRUPT`, `INVALID_MESSAGE` */
export function unsealJson(bytes: Uint8Array): JsonObject {
  if (bytes.length < 6) throw invalid('payload', 'a CRC-32 and one JSON object', `${bytes.length} bytes`)
  if (bytes.length > jsonLimitBytes) throw invalid('payload', `at most ${jsonLimitBytes} bytes`, `${bytes.length}`)
  const text = bytes.subarray(4)
  const expected = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  const found = crc32(text)
  if (expected !== found) throw fail('CHUNK_CORRUPT', `payload: expected the CRC-32 ${expected}, found ${found}`)
  return parseJson(text)
}

/** A text member that must be there. @throws `INVALID_MESSAGE` */
export function text(object: JsonObject, name: string, limit: number): string {
  const value = object[name]
  if (typeof value === 'string' && value.length > 0 && value.length <= limit) return value
  throw invalid(name, `text of 1 to ${limit} letters`, described(value))
}

/** @throws `INVALID_MESSAGE` */
export function optionalText(object: JsonObject, name: string, limit: number): string | undefined {
  return object[name] === undefined ? undefined : text(object, name, limit)
}

/** A whole number that must be there. @throws `INVALID_MESSAGE` */
export function whole(object: JsonObject, name: string, least: number, most: number): number {
  const value = object[name]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw invalid(name, `a whole number from ${least} to ${most}`, described(value))
}

/** The number that an answer repeats. @throws `INVALID_MESSAGE` */
export function numberOf(object: JsonObject): number {
  return whole(object, 're', 1, uint32)
}

/** @throws `INVALID_MESSAGE` */
export function digest(object: JsonObject, name: string): Digest {
  const value = object[name]
  if (isDigest(value)) return value
  throw invalid(name, 'sha256:, sha384: or sha512: and lower case hex', described(value))
}

/** An object member that must be there. @throws `INVALID_MESSAGE` */
export function object(from: JsonObject, name: string): JsonObject {
  const value = from[name]
  if (isJsonObject(value)) return value
  throw invalid(name, 'an object', described(value))
}

/** @throws `INVALID_MESSAGE` */
export function list(from: JsonObject, name: string, limit: number): readonly unknown[] {
  const value = from[name]
  if (Array.isArray(value) && value.length <= limit) return value
  throw invalid(name, `a list of at most ${limit}`, described(value))
}

/** Bytes in base64 with padding (RFC 4648, 4), in their one spelling. @throws `INVALID_MESSAGE` */
export function base64(object: JsonObject, name: string, limitBytes: number): Uint8Array {
  const value = object[name]
  if (typeof value !== 'string') throw invalid(name, 'base64', described(value))
  const bytes = Buffer.from(value, 'base64')
  // Node's decoder skips what is not base64: two readers would read two things.
  if (bytes.length > limitBytes || bytes.toString('base64') !== value) {
    throw invalid(name, `base64 with padding of at most ${limitBytes} bytes`, 'something else')
  }
  return new Uint8Array(bytes)
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

export function invalid(member: string, expected: string, found: string): Error {
  return fail('INVALID_MESSAGE', `${member}: expected ${expected}, found ${found}`)
}

export function described(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? `text of ${value.length} letters` : `a ${typeof value}`
}
