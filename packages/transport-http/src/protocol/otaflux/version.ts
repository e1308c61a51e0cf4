import type { CheckInAnswer, Principal, Representation } from '@reflash/core'
import { fail } from '../../http-errors.ts'
import { type HttpRequest, type HttpResponse, textResponse } from '../../http-message.ts'
import { isNotFound } from '../../status-of.ts'
import type { DialectContext } from '../dialect.ts'
import { plainOf } from '../native/check-in.ts'
import { deviceOfQuery } from './otaflux-query.ts'

export const textType = 'text/plain; charset=utf-8'

/** Letters: with the longest head that node:http writes, a version of this length leaves the answer far under the client's 1024 bytes. */
const versionLimit = 256

/** Bytes: the client divides by a tenth of the size and panics at zero. */
const smallestImage = 10

/**
 * `GET /version?device=X`: the newest version for the device, which compares it with its own.
 *
 * | line | ends with | meaning |
 * |---|---|---|
 * | 1 | LF | semver |
 * | 2 | LF | CRC-32 of the image, unsigned decimal |
 * | 3 | nothing | size in bytes |
 *
 * Always with Content-Length and never chunked; head and body are one write of less than 1024 bytes, because the client reads no more.
 */
export async function version(context: DialectContext, request: HttpRequest): Promise<HttpResponse> {
  const id = deviceOfQuery(request.query)
  const who = await context.admit(request, id)
  const answer = await currentOffer(context, request, who)
  if (answer.offer === undefined) return noFirmware(id, answer.because[0]?.code)
  const { descriptor, crc32 } = offeredImage(answer)
  return textResponse(200, textType, `${answer.offer.version}\n${crc32}\n${descriptor.size}`)
}

const reported = Object.freeze({})

/** Asks the gateway for a device that tells nothing, now or ever; no such device or firmware is an answer without an offer. */
export async function currentOffer({ gateway }: DialectContext, { signal }: HttpRequest, who: Principal): Promise<CheckInAnswer> {
  try {
    return await gateway.checkIn(who, reported, undefined, { reports: false, signal })
  } catch (error) {
    if (!isNotFound(error)) throw error
    return { pollAfterMs: 0, because: [{ code: error.code, message: error.message }] }
  }
}

/**
 * OtaFlux's own words; why there is none stands in a header which its client skips, and in the record. The connection ends: the
 * client waits for two ends of lines, whatever the status, and would wait as long as the connection lives.
 */
export function noFirmware(id: string, because: string | undefined): HttpResponse {
  const extra = because === undefined ? undefined : ['Reflash-Code', because]
  const answer = { ...textResponse(404, textType, `No firmware for device '${id}'`, extra), close: true }
  return because === undefined ? answer : { ...answer, code: because }
}

/** @throws `OTAFLUX_UNFIT` */
export function offeredImage({ offer }: CheckInAnswer): Representation {
  const components = offer?.components ?? []
  const image = plainOf(components[0]?.representations ?? [])
  const fits = components.length === 1 && image !== undefined && image.descriptor.size >= smallestImage
  if (fits && (offer?.version.length ?? 0) <= versionLimit) return image
  throw fail(
    'OTAFLUX_UNFIT',
    `expected an offer of one plain image of at least ${smallestImage} bytes with a version of at most ${versionLimit} letters, found another`,
  )
}
