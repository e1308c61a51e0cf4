import { isUtf8 } from 'node:buffer'
import type { Json } from '@reflash/core'
import { fail } from './http-errors.ts'
import { type HttpRequest, jsonType } from './http-message.ts'

export type JsonObject = { readonly [key: string]: unknown }

/** Levels of nesting: attributes of a device hold at most an object in a list or two. */
const depthLimit = 8

/**
 * Reads the JSON object in a request's body; an empty body is `{}`.
 * @throws `UNSUPPORTED_CONTENT`, `BODY_TOO_LARGE`, `INVALID_BODY`, `REQUEST_CUT`
 */
export async function jsonBody(request: HttpRequest, limitBytes: number): Promise<JsonObject> {
  const type = request.header('content-type')
  if (type !== undefined && !isJson(type)) throw fail('UNSUPPORTED_CONTENT', 'expected content-type application/json, found another')
  const coding = request.header('content-encoding')
  if (coding !== undefined && coding !== 'identity') throw fail('UNSUPPORTED_CONTENT', 'expected no content-encoding, found one')
  const bytes = await request.body(limitBytes)
  return bytes.length === 0 ? {} : parseObject(bytes)
}

function isJson(type: string): boolean {
  if (type === jsonType) return true
  const semicolon = type.indexOf(';')
  return (semicolon < 0 ? type : type.slice(0, semicolon)).trim().toLowerCase() === jsonType
}

/**
 * Reads one JSON object as I-JSON (RFC 7493) wants it: UTF-8, no member twice, no member named `__proto__`, at most 8 levels.
 * @throws `INVALID_BODY`
 */
export function parseObject(bytes: Uint8Array): JsonObject {
  if (!isUtf8(bytes)) throw invalid('body', 'UTF-8', 'other bytes')
  const text = (bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own message quotes the body.
    throw invalid('body', 'one JSON object', 'text that is not JSON')
  }
  if (!isObject(value)) throw invalid('body', 'one JSON object', 'another JSON value')
  // JSON.parse keeps the last of equal members; another reader of the same bytes may keep the first, and so be told something else.
  if (countMembers(value, 0) !== countColons(bytes)) throw invalid('body', 'each member once', 'a member twice')
  return value
}

function countMembers(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0
  if (depth >= depthLimit) throw invalid('body', `at most ${depthLimit} levels`, 'more')
  let count = 0
  if (Array.isArray(value)) {
    for (const item of value) count += countMembers(item, depth + 1)
    return count
  }
  // Without a list of keys: what JSON.parse makes inherits nothing that is enumerable.
  for (const key in value) {
    if (key === '__proto__') throw invalid('body', 'no member __proto__', 'one')
    count += 1 + countMembers((value as JsonObject)[key], depth + 1)
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

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An optional text member. @throws `INVALID_BODY` */
export function textMember(object: JsonObject, name: string, limit: number): string | undefined {
  const value = object[name]
  if (value === undefined) return undefined
  if (typeof value === 'string' && value.length > 0 && value.length <= limit) return value
  throw invalid(name, `text of 1 to ${limit} letters`, described(value))
}

/** An optional object member. @throws `INVALID_BODY` */
export function objectMember(object: JsonObject, name: string): JsonObject | undefined {
  const value = object[name]
  if (value === undefined || isObject(value)) return value
  throw invalid(name, 'an object', described(value))
}

/** What JSON.parse has made is JSON. */
export function asJson(object: JsonObject): Readonly<Record<string, Json>> {
  return object as Readonly<Record<string, Json>>
}

export function invalid(member: string, expected: string, found: string): Error {
  return fail('INVALID_BODY', `${member}: expected ${expected}, found ${found}`)
}

export function described(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `a list of ${value.length}`
  return typeof value === 'string' ? `text of ${value.length} letters` : `a ${typeof value}`
}
