import type { JsonObject } from '@reflash/core'
import type { HttpRequest, HttpResponse } from '../../http-message.ts'
import { asJson, described, invalid, jsonBody, objectMember } from '../../json-body.ts'
import { done } from './answer-json.ts'
import type { Desk } from './hawkbit-desk.ts'

/** hawkBit's quotas: attributes, letters of a key, letters of a value. */
const attributeLimit = 100
const textLimit = 128

export type AttributeMode = 'merge' | 'replace' | 'remove'

/**
 * `PUT .../configData` -> 200: what the device says of itself.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | mode? | `merge` (where absent), `replace`, `remove` | |
 * | data | object of at most 100 texts of at most 128 letters | |
 *
 * Older clients send id, time and status besides: they mean nothing.
 */
export async function configData(desk: Desk, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const who = await desk.admit(request, params[0])
  const { data, mode } = readConfigData(await jsonBody(request, desk.context.limits.checkInBytes))
  await desk.context.gateway.attributes(who, asJson(data), mode, { signal: request.signal })
  desk.visitor(who.deviceId).told = true
  return done
}

/** @throws `INVALID_BODY` */
export function readConfigData(body: JsonObject): { readonly data: JsonObject; readonly mode: AttributeMode } {
  const { mode = 'merge' } = body
  if (mode !== 'merge' && mode !== 'replace' && mode !== 'remove') throw invalid('mode', 'merge, replace or remove', described(mode))
  const data = objectMember(body, 'data') ?? {}
  const entries = Object.entries(data)
  if (entries.length > attributeLimit) throw invalid('data', `at most ${attributeLimit} members`, String(entries.length))
  for (const [key, value] of entries) {
    if (key.length === 0 || key.length > textLimit) throw invalid('data', `members of 1 to ${textLimit} letters`, `one of ${key.length}`)
    // Removing, some send null.
    const fits = typeof value === 'string' ? value.length <= textLimit : ['number', 'boolean'].includes(typeof value) || value === null
    if (!fits) throw invalid('data', `texts of at most ${textLimit} letters`, described(value))
  }
  return { data, mode }
}
