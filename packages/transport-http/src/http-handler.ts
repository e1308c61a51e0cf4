import type { ServeContext } from '@reflash/core'
import { createNodeAdapter, type NodeListener } from './adapter/node-adapter.ts'
import { createWebAdapter, type FetchHandler } from './adapter/web-adapter.ts'
import { checkServiceOptions, createHttpService, type HttpServiceOptions } from './http-service.ts'

/** The same service for two kinds of server. */
export interface HttpHandler {
  /** For node:http and what stands on it (Express, Connect, Fastify's `use`): the fast one. Calls `next`, where given, for paths that are not ours. */
  readonly node: NodeListener
  /** For web-standard servers (Hono, Bun, Deno, service workers). */
  readonly fetch: FetchHandler
  /** Whether a path is one of this handler's. */
  handles(path: string): boolean
  /** Resolves once everything that follows an answer is done: wait for it before you close gateway and journal. */
  settled(): Promise<void>
}

/**
 * Makes a handler to mount in a server of your own, which then has the limits of its connections to look after; those of bodies,
 * ranges, buffers and slow readers are kept here.
 * @throws `INVALID_OPTION`
 * @example
 * createServer(httpHandler({ gateway, authenticators }).node).listen(8080)
 */
export function httpHandler(context: ServeContext, options: HttpServiceOptions = {}): HttpHandler {
  const service = createHttpService(checkServiceOptions(options), context)
  return Object.freeze({
    node: createNodeAdapter(service).listener,
    fetch: createWebAdapter(service),
    handles: service.handles,
    settled: service.settled,
  })
}
