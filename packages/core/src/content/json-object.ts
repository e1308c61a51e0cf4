import { isUtf8 } from 'node:buffer'

/** What `JSON.parse` has made of one object. */
export type JsonObject = { readonly [key: string]: unknown }

/** Makes the error of whoever reads: what was expected, and what was found; nothing of the bytes is in it. */
type Refuse = (expected: string, found: string) => Error

/** Levels of nesting: attributes of a device hold at most an object in a list or two. */
const depthLimit = 8

/**
 * Reads one JSON object as I-JSON (RFC 7493) wants it: UTF-8, no member twice, no member named `__proto__`, at most 8 levels. What is something
 * else is thrown as the error that `refuse` makes.
 */
export function parseJsonObject(bytes: Uint8Array, refuse: Refuse): JsonObject {
  if (!isUtf8(bytes)) throw refuse('UTF-8', 'other bytes')
  const text = (bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own message quotes the text.
    throw refuse('one JSON object', 'text that is not JSON')
  }
  if (!isJsonObject(value)) throw refuse('one JSON object', 'another JSON value')
  // JSON.parse keeps the last of equal members; another reader of the same bytes may keep the first, and so be told something else.
  if (countMembers(value, 0, refuse) !== countColons(bytes)) throw refuse('each member once', 'a member twice')
  return value
}

function countMembers(value: unknown, depth: number, refuse: Refuse): number {
  if (typeof value !== 'object' || value === null) return 0
  if (depth >= depthLimit) throw refuse(`at most ${depthLimit} levels`, 'more')
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value) count += countMembers(item, depth + 1, refuse)
    return count
  }
  // Without a list of keys: what JSON.parse makes inherits nothing that is enumerable.
  for (const key in value) {
    if (key === '__proto__') throw refuse('no member __proto__', 'one')
    count += 1 + countMembers((value as JsonObject)[key], depth + 1, refuse)
  }
  return count
}

/** Colons outside strings: one per member, in bytes that are known to be JSON. */
function countColons(bytes: Uint8Array): number {
  let count = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === colon) count++
    else if (byte === quote) {
      at++
      while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1
    }
  }
  return count
}

const colon = 0x3a
const quote = 0x22
const backslash = 0x5c

/** Whether a JSON value is an object, and no list. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
