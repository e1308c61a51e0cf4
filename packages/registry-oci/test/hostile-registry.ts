import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import { type OciRegistry, type OciRegistryOptions, ociRegistry } from '../src/index.ts'

export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export interface HostileRegistry {
  /** `127.0.0.1:<port>` */
  readonly host: string
  /** Every request in the order of arrival. */
  readonly seen: SeenRequest[]
  /** Method and path of each, for comparison. */
  lines(): string[]
}

/** Answers one request; what it does not answer gets 404. */
export type Handler = (request: SeenRequest, response: ServerResponse) => void | Promise<void>

/** An HTTP server on loopback that answers as a test tells it to; it ends with the test, whatever hangs on it. */
export async function hostileRegistry(handler: Handler): Promise<HostileRegistry> {
  const seen: SeenRequest[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer)
    } catch {
      return
    }
    const arrived = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) }
    seen.push(arrived)
    await handler(arrived, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return { host: `127.0.0.1:${port}`, seen, lines: () => seen.map(({ method, url }) => `${method} ${url}`) }
}

/** A registry plugin whose pauses pass at once and are written down; closed with the test. */
export function testRegistry(options: OciRegistryOptions = {}): { readonly registry: OciRegistry; readonly pauses: number[] } {
  const pauses: number[] = []
  let now = 0
  const clock = {
    now: () => now,
    async sleep(milliseconds: number, signal?: AbortSignal) {
      signal?.throwIfAborted()
      pauses.push(milliseconds)
      now += milliseconds
    },
  }
  const registry = ociRegistry({ clock, random: () => 0.5, ...options })
  onTestFinished(() => registry.close())
  return { registry, pauses }
}

/** Sends JSON. */
export function json(response: ServerResponse, status: number, document: unknown, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(document))
}
