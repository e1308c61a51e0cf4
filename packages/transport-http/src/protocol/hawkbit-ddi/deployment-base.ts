import type { Offer, Principal } from '@reflash/core'
import type { HttpRequest, HttpResponse } from '../../http-message.ts'
import { sequenceOf } from '../../names.ts'
import { answerJson } from './answer-json.ts'
import { type Desk, imageOf, noSuchAction } from './hawkbit-desk.ts'

/** How an offer is to be taken, as `[download, update]`. */
const urgency: Readonly<Record<Offer['mode'], readonly [string, string]>> = {
  forced: ['forced', 'forced'],
  optional: ['attempt', 'attempt'],
  'download-only': ['forced', 'skip'],
}

/**
 * `GET .../deploymentBase/{action}`: the open offer; 404 where that is another.
 *
 * | member | meaning |
 * |---|---|
 * | id | the offer's number, as text |
 * | deployment.download, .update | `forced`, `attempt` or `skip` |
 * | deployment.chunks[0].part | `bApp`: Zephyr takes no other, and the rest do not mind |
 * | .version, .name | of the release; the component |
 * | .artifacts[0].filename, .size | SWUpdate wants `.swu` at its end |
 * | .artifacts[0].hashes | `sha1` (SWUpdate, RAUC), `md5`, `sha256` (Zephyr) |
 * | .artifacts[0]._links | `download`, `md5sum`; over plain HTTP `download-http` (all that Zephyr knows), `md5sum-http` too |
 */
export async function deploymentBase(desk: Desk, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const who = await desk.admit(request, params[0])
  const action = sequenceOf(params[1])
  const { offer, cancel } = await desk.ask(request, who)
  if (offer?.seq !== action || cancel === action) throw noSuchAction()
  desk.visitor(who.deviceId).offer = offer
  return answerJson(request, await deploymentOf(desk, request, who, offer))
}

/** `GET .../installedBase/{action}`: what the device has installed last, as this process has seen it; the body is that of deploymentBase. */
export async function installedBase(desk: Desk, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const who = await desk.admit(request, params[0])
  const action = sequenceOf(params[1])
  const { installed } = desk.visitor(who.deviceId)
  if (installed?.seq !== action) throw noSuchAction()
  return answerJson(request, await deploymentOf(desk, request, who, installed))
}

async function deploymentOf(desk: Desk, request: HttpRequest, who: Principal, offer: Offer): Promise<object> {
  const { seq, version, mode } = offer
  const image = imageOf(offer)
  const hashes = await desk.hashes.of(who, seq, image, request.signal)
  const [download, update] = urgency[mode]
  const href = `${desk.urlOf(request, who.deviceId)}/softwaremodules/${seq}/artifacts/${encodeURIComponent(image.fileName)}`
  const [file, sum] = [{ href }, { href: `${href}.MD5SUM` }]
  const links = href.startsWith('http:')
    ? { download: file, md5sum: sum, 'download-http': file, 'md5sum-http': sum }
    : { download: file, md5sum: sum }
  const artifact = { filename: image.fileName, hashes, size: image.descriptor.size, _links: links }
  const name = offer.components[0]?.component
  return { id: String(seq), deployment: { download, update, chunks: [{ part: 'bApp', version, name, artifacts: [artifact] }] } }
}
