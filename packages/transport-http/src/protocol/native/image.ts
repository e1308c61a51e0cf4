import type { HttpRequest, HttpResponse } from '../../http-message.ts'
import { imageResponse } from '../../image-response.ts'
import { componentOf, deviceIdOf, sequenceOf } from '../../names.ts'
import type { DialectContext } from '../dialect.ts'

/**
 * `GET` or `HEAD /v1/devices/{id}/offers/{seq}/images/{component}`: the bytes of one image, as {@link imageResponse} describes.
 * The device reports what it made of them.
 */
export async function image(context: DialectContext, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const id = deviceIdOf(params[0])
  const offer = sequenceOf(params[1])
  const component = componentOf(params[2])
  const who = await context.admit(request, id)
  return imageResponse(request, { gateway: context.gateway, who, offer, component, maxRanges: context.limits.ranges })
}
