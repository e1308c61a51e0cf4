import type { HttpRequest, HttpResponse } from '../../http-message.ts'
import { imageResponse } from '../../image-response.ts'
import { isNotFound } from '../../status-of.ts'
import type { DialectContext } from '../dialect.ts'
import { deviceOfQuery } from './otaflux-query.ts'
import { currentOffer, noFirmware, offeredImage } from './version.ts'

/**
 * `GET /firmware?device=X`: the bytes of what the last `/version` of this device told, pinned. As OtaFlux sends them, application/octet-stream with
 * Content-Length; besides with ETag and Range, which its client neither knows nor minds. The device reports nothing: that all bytes
 * were handed over is all that is ever known of it.
 */
export async function firmware(context: DialectContext, request: HttpRequest): Promise<HttpResponse> {
  const { gateway, limits } = context
  const id = deviceOfQuery(request.query)
  const who = await context.admit(request, id)
  // The device has its bytes; that the fact was not journaled is the gateway's own to say.
  const sent = (): Promise<void> => gateway.sent(who, 'current').catch(() => undefined)
  const send = (): Promise<HttpResponse> => imageResponse(request, { gateway, who, offer: 'current', maxRanges: limits.ranges, sent })
  try {
    return await send()
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  // OtaFlux needs no /version before.
  const answer = await currentOffer(context, request, who)
  if (answer.offer === undefined) return noFirmware(id, answer.because[0]?.code)
  offeredImage(answer)
  return send()
}
