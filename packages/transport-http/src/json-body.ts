import { isJsonObject, type Json, type JsonObject, parseJsonObject } from '@reflash/core'
import { fail } from './http-errors.ts'
import { type HttpRequest, jsonType } from './http-message.ts'

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

/** Reads one JSON object as core does. @throws `INVALID_BODY` */
export function parseObject(bytes: Uint8Array): JsonObject {
  return parseJsonObject(bytes, refuse)
}

const refuse = (expected: string, found: string): Error => invalid('body', expected, found)

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
  if (value === undefined || isJsonObject(value)) return value
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
