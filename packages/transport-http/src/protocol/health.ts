import type { Health } from '@reflash/core'
import { type HttpRequest, type HttpResponse, jsonType, textResponse } from '../http-message.ts'
import { refuseAsJson } from '../status-of.ts'
import type { DialectContext, Route } from './dialect.ts'

/**
 * `GET /health`, for every dialect; OtaFlux answers 200 with an empty body, and its probes look at the status only.
 *
 * | member | meaning |
 * |---|---|
 * | status | `ok` or `degraded` |
 * | parts.{registry,cache,journal,...}.status | `ok`, `stale`, `down` or `unknown` |
 *
 * 503 where a part is down that answering needs. The registry is not: what the cache holds is served without it, and a 503 would make
 * orchestrators stop every instance at once because of somebody else's outage. Reasons stay inside: they name machines, and nobody
 * authenticates here.
 */
export function healthRoute(context: DialectContext): Route {
  return {
    name: 'health',
    method: 'GET',
    path: '/health',
    answer: (request) => health(context, request),
    refuse: refuseAsJson,
  }
}

async function health({ gateway }: DialectContext, { signal }: HttpRequest): Promise<HttpResponse> {
  const { status, parts } = await gateway.health({ signal })
  const shown = Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, { status: part.status }]))
  return textResponse(canServe(parts) ? 200 : 503, jsonType, JSON.stringify({ status, parts: shown }), ['Cache-Control', 'no-store'])
}

function canServe(parts: Health['parts']): boolean {
  return Object.entries(parts).every(([name, { status }]) => status !== 'down' || name === 'registry')
}
