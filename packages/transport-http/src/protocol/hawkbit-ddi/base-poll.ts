import type { HttpRequest, HttpResponse } from '../../http-message.ts'
import { answerJson } from './answer-json.ts'
import { type Desk, imageOf } from './hawkbit-desk.ts'

/** Seconds: what clients read is `HH:mm:ss`, and less than one would be none. */
const [shortest, longest] = [1, 24 * 3600 - 1]

/**
 * `GET /{tenant}/controller/v1/{id}`: what to do next.
 *
 * | member | meaning |
 * |---|---|
 * | config.polling.sleep | `HH:mm:ss`; always there: without it a poll is malformed to its clients |
 * | _links.cancelAction | the offer that is taken back; then no deploymentBase |
 * | _links.deploymentBase | the open offer, until the device has ended it; `?c=` changes with what is behind it |
 * | _links.installedBase | what it has installed last, as far as this process has seen it |
 * | _links.configData | its attributes are wanted; gone once it has put them, or the clients would put them for ever |
 */
export async function basePoll(desk: Desk, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const who = await desk.admit(request, params[0])
  const { offer, cancel, wants, pollAfterMs } = await desk.ask(request, who)
  const visitor = desk.visitor(who.deviceId)
  const base = desk.urlOf(request, who.deviceId)
  const links: Record<string, { readonly href: string }> = {}
  if (cancel !== undefined) links.cancelAction = { href: `${base}/cancelAction/${cancel}` }
  else if (offer !== undefined) {
    visitor.offer = offer
    links.deploymentBase = { href: `${base}/deploymentBase/${offer.seq}?c=${imageOf(offer).crc32 & 0x7fff_ffff}` }
  }
  const { installed } = visitor
  if (installed !== undefined) links.installedBase = { href: `${base}/installedBase/${installed.seq}` }
  if (!visitor.told || wants?.includes('attributes') === true) links.configData = { href: `${base}/configData` }
  return answerJson(request, { config: { polling: { sleep: sleepOf(pollAfterMs) } }, _links: links })
}

function sleepOf(pollAfterMs: number): string {
  const seconds = Math.min(longest, Math.max(shortest, Math.ceil(pollAfterMs / 1000)))
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60].map((part) => String(part).padStart(2, '0')).join(':')
}
