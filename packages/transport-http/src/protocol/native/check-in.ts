import {
  type CheckInAnswer,
  type DeviceState,
  type Evidence,
  type Installed,
  isDigest,
  type JsonObject,
  type Offer,
  type OfferedComponent,
  type Reason,
  type Representation,
} from '@reflash/core'
import { type HttpRequest, type HttpResponse, jsonType, textResponse } from '../../http-message.ts'
import { asJson, described, invalid, jsonBody, objectMember, textMember } from '../../json-body.ts'
import { deviceIdOf } from '../../names.ts'
import type { DialectContext } from '../dialect.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Members of `attributes`: hawkBit's own limit, so that both protocols carry the same. */
const attributeLimit = 100
const attributeKeyLimit = 128
const versionLimit = 256
const modelLimit = 128
const mediaTypeLimit = 128

/** Bytes of an idle body: with the head that node:http writes (157) an idle answer stays under 300, one small radio frame, with room for a longer Keep-Alive. */
const idleLimitBytes = 128

/**
 * `POST /v1/devices/{id}/check-in`
 *
 * | request member | type | meaning |
 * |---|---|---|
 * | model? | text, 1..128 | kind of device |
 * | installed? | object | what it runs |
 * | installed.version | text, 1..256 | |
 * | installed.digest? | `sha256:`, `sha384:` or `sha512:` + lower case hex | of the image |
 * | installed.state? | `pending` or `confirmed` | `pending` until its self-test has kept the image |
 * | attributes? | object, at most 100 members of 1..128 letters, 8 levels | facts, merged with those of earlier check-ins |
 * | evidence? | object | RFC 9334 |
 * | evidence.mediaType | text, 1..128 | |
 * | evidence.body | base64 with padding, RFC 4648, 4 | |
 *
 * | answer member | type | meaning |
 * |---|---|---|
 * | pollAfterMs | whole number | when to check in again |
 * | offer? | object | an update |
 * | offer.seq | 1..2147483647 | its number for this device, ascending |
 * | offer.version | text | |
 * | offer.mode | `forced`, `optional`, `download-only` | |
 * | offer.components[] | objects | one per image |
 * | .component | text, 1..64 | its name |
 * | .yields | digest | of the image that the device holds afterwards |
 * | .size .digest .crc32 | bytes, digest, unsigned number | of what is downloaded |
 * | .coding? .base? | text, digest | where it is a delta: how it is coded, and against which image |
 * | .fileName | text | |
 * | .url | URI reference, resolved against the server's address | where it is downloaded |
 * | cancel? | 1..2147483647 | the offer that is taken back |
 * | wants? | list of `attributes`, `evidence` | what the next check-in should hold |
 * | challenge? | base64 | nonce for the evidence |
 * | because? | list of { code, message? } | why this answer; without `message` where an idle answer would grow past 300 bytes |
 *
 * Unknown members are ignored on both sides; times are in milliseconds.
 */
export async function checkIn(context: DialectContext, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const id = deviceIdOf(params[0])
  const who = await context.admit(request, id)
  const body = await jsonBody(request, context.limits.checkInBytes)
  const reported = readReported(body)
  const answer = await context.gateway.checkIn(who, reported, readEvidence(body), { signal: request.signal })
  return textResponse(200, jsonType, encodeAnswer(answer, context.baseUrl, id))
}

/** @throws `INVALID_BODY` */
export function readReported(body: JsonObject): Partial<Omit<DeviceState, 'id'>> {
  const reported: Mutable<Partial<Omit<DeviceState, 'id'>>> = {}
  const model = textMember(body, 'model', modelLimit)
  if (model !== undefined) reported.model = model
  const installed = objectMember(body, 'installed')
  if (installed !== undefined) reported.installed = readInstalled(installed)
  const attributes = objectMember(body, 'attributes')
  if (attributes !== undefined) {
    const keys = Object.keys(attributes)
    if (keys.length > attributeLimit) throw invalid('attributes', `at most ${attributeLimit} members`, String(keys.length))
    for (const key of keys) {
      if (key.length === 0 || key.length > attributeKeyLimit) {
        throw invalid('attributes', `members of 1 to ${attributeKeyLimit} letters`, `one of ${key.length}`)
      }
    }
    reported.attributes = asJson(attributes)
  }
  return reported
}

function readInstalled(object: JsonObject): Installed {
  const version = textMember(object, 'version', versionLimit)
  if (version === undefined) throw invalid('installed.version', 'text', 'nothing')
  const installed: Mutable<Installed> = { version }
  const { digest, state } = object
  if (digest !== undefined) {
    if (!isDigest(digest)) throw invalid('installed.digest', 'sha256:<64 lower case hex digits>', described(digest))
    installed.digest = digest
  }
  if (state !== undefined) {
    if (state !== 'pending' && state !== 'confirmed') throw invalid('installed.state', 'pending or confirmed', described(state))
    installed.state = state
  }
  return installed
}

/** @throws `INVALID_BODY` */
export function readEvidence(body: JsonObject): Evidence | undefined {
  const evidence = objectMember(body, 'evidence')
  if (evidence === undefined) return undefined
  const mediaType = textMember(evidence, 'mediaType', mediaTypeLimit)
  const text = evidence.body
  if (mediaType === undefined) throw invalid('evidence.mediaType', 'text', 'nothing')
  if (typeof text !== 'string') throw invalid('evidence.body', 'base64', described(text))
  const bytes = Buffer.from(text, 'base64')
  // Node's decoder skips what is not base64; one spelling per body, or two readers may read two bodies.
  if (bytes.toString('base64') !== text) throw invalid('evidence.body', 'base64 with padding (RFC 4648, 4)', 'something else')
  return { mediaType, body: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) }
}

/** The body of the answer; `baseUrl` has no slash at its end. */
export function encodeAnswer(answer: CheckInAnswer, baseUrl: string, deviceId: string): string {
  const { offer, cancel, wants, challenge, pollAfterMs, because } = answer
  if (offer === undefined && cancel === undefined && challenge === undefined && (wants === undefined || wants.length === 0)) {
    return encodeIdle(pollAfterMs, because)
  }
  return JSON.stringify({
    pollAfterMs,
    offer: offer === undefined ? undefined : wireOffer(offer, `${baseUrl}/v1/devices/${encodeURIComponent(deviceId)}/offers/`),
    cancel,
    wants: wants === undefined || wants.length === 0 ? undefined : wants,
    challenge: challenge === undefined ? undefined : Buffer.from(challenge).toString('base64'),
    because: because.length === 0 ? undefined : because.map(({ code, message }) => ({ code, message })),
  })
}

function encodeIdle(pollAfterMs: number, because: readonly Reason[]): string {
  const head = `{"pollAfterMs":${pollAfterMs}`
  if (because.length === 0) return `${head}}`
  const full = `${head},"because":[${because.map(encodeReason).join()}]}`
  if (Buffer.byteLength(full) <= idleLimitBytes) return full
  let short = `${head},"because":[${JSON.stringify({ code: because[0]?.code })}`
  for (const { code } of because.slice(1)) {
    const more = `,${JSON.stringify({ code })}`
    if (Buffer.byteLength(short) + more.length + 2 > idleLimitBytes) break
    short += more
  }
  return `${short}]}`
}

// Text by text: twice as fast as an object, on what nearly every request is answered with.
function encodeReason({ code, message }: Reason): string {
  return `{"code":${JSON.stringify(code)},"message":${JSON.stringify(message)}}`
}

function wireOffer({ seq, version, mode, components }: Offer, offersUrl: string): object {
  return { seq, version, mode, components: components.map((component) => wireComponent(component, `${offersUrl}${seq}/images/`)) }
}

function wireComponent({ component, yields, representations }: OfferedComponent, imagesUrl: string): object {
  const representation = plainOf(representations) ?? representations[0]
  if (representation === undefined) return { component, yields }
  const { descriptor, crc32, fileName, coding, base } = representation
  return {
    component,
    yields,
    size: descriptor.size,
    digest: descriptor.digest,
    crc32,
    coding: coding === 'identity' ? undefined : coding,
    base,
    fileName,
    url: `${imagesUrl}${encodeURIComponent(component)}`,
  }
}

/** The representation that is the image itself. */
export function plainOf(representations: readonly Representation[]): Representation | undefined {
  return representations.find(({ coding, base }) => coding === 'identity' && base === undefined)
}
