import { type HttpRequest, type HttpResponse, textResponse } from '../../http-message.ts'
import { imageResponse } from '../../image-response.ts'
import { sequenceOf } from '../../names.ts'
import { type Desk, noSuchAction } from './hawkbit-desk.ts'

const sumSuffix = '.MD5SUM'

/**
 * `GET` or `HEAD .../softwaremodules/{action}/artifacts/{file}`: the bytes, with ranges, as {@link imageResponse} describes; SWUpdate asks by HEAD
 * first, and goes on with `Range: bytes=N-` where a connection broke. `{file}.MD5SUM`: the digest in hex, two spaces, the name.
 */
export async function artifact(desk: Desk, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const who = await desk.admit(request, params[0])
  const [offer, file = ''] = [sequenceOf(params[1]), params[2]]
  const { gateway, limits } = desk.context
  const { signal } = request
  const image = await gateway.head(who, offer, undefined, { signal })
  if (file === image.fileName) return imageResponse(request, { gateway, who, offer, maxRanges: limits.ranges })
  if (file !== `${image.fileName}${sumSuffix}`) throw noSuchAction()
  const { md5 } = await desk.hashes.of(who, offer, image, signal)
  return textResponse(200, 'text/plain', `${md5}  ${image.fileName}`)
}
