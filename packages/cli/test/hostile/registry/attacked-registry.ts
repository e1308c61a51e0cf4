import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Digest } from '@reflash/core'
import type { LampReleases, StoredBytes } from './lamp-releases.ts'

export const secret = { username: 'reflash', password: 'what-no-other-origin-may-see' } as const
const authorization = `Basic ${Buffer.from(`${secret.username}:${secret.password}`).toString('base64')}`

/** One request to the registry, and what it would answer. */
export interface Exchange {
  readonly method: string
  readonly kind: 'tags' | 'manifests' | 'blobs' | 'referrers'
  /** Tag or digest; empty for a list of tags. */
  readonly name: string
  readonly url: string
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly releases: LampReleases
  /** `http://127.0.0.1:<port>` of this registry, and of a server that belongs to the attacker. */
  readonly origin: string
  readonly elsewhere: string
  /** What is asked for; undefined where there is no such thing. */
  readonly content: StoredBytes | undefined
  /** How often the like was asked for since the attack began. */
  readonly count: number
}

/** What an attack does with requests; false leaves one to the honest registry. */
export type Intercept = (exchange: Exchange) => boolean | undefined

export interface AttackedRegistry extends AsyncDisposable {
  readonly host: string
  /** What the tags point at; signatures have theirs besides. */
  tags: Readonly<Record<string, Digest>>
  intercept: Intercept | undefined
  /** What the attacker's own server was sent, headers as JSON. */
  readonly seenElsewhere: string[]
}

/** An OCI registry behind Basic authentication, which turns hostile when it is told to, and a server of the attacker beside it. */
export async function attackedRegistry(releases: LampReleases): Promise<AttackedRegistry> {
  const seenElsewhere: string[] = []
  const counts = new Map<string, number>()
  const attacked = new Set<ServerResponse>()
  let intercept: Intercept | undefined
  const other = await listening((request, response) => {
    seenElsewhere.push(JSON.stringify([request.url, request.headers]))
    const [, status = '200', rest = ''] = /^\/(\d+)\/?(.*)$/.exec(request.url ?? '') ?? []
    if (status === '401') return void response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="give"' }).end()
    if (status === '307') return void response.writeHead(307, { Location: `${main.origin}/${rest}` }).end()
    response.end(releases.unsigned.bytes)
  })
  const registry = { tags: {} as Readonly<Record<string, Digest>> }
  const main = await listening((request, response) => {
    const { method = '', url = '' } = request
    const [, kind, name = ''] = /^\/v2\/firmware\/lamp\/(tags|manifests|blobs|referrers)\/([^?]+)/.exec(url) ?? []
    if (kind === undefined) return void response.writeHead(404).end()
    const key = `${method} ${kind} ${name}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
    const digest = registry.tags[name] ?? releases.signatures.get(name) ?? name
    const exchange: Exchange = {
      method,
      kind: kind as Exchange['kind'],
      name,
      url,
      request,
      response,
      releases,
      origin: main.origin,
      elsewhere: other.origin,
      content: releases.content.get(digest),
      count: counts.get(key) as number,
    }
    if (intercept?.(exchange) === true) {
      attacked.add(response)
      response.on('close', () => attacked.delete(response))
      return
    }
    honest(exchange, digest, Object.keys(registry.tags))
  })
  return {
    host: main.origin.slice('http://'.length),
    seenElsewhere,
    get tags() {
      return registry.tags
    },
    set tags(tags) {
      registry.tags = tags
    },
    get intercept() {
      return intercept
    },
    set intercept(next) {
      intercept = next
      counts.clear()
      // Nobody is left hanging by an attack that is over.
      for (const response of attacked) response.destroy()
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([main.close(), other.close()])
    },
  }
}

function honest({ kind, method, request, response, content }: Exchange, digest: string, tags: readonly string[]): void {
  if (request.headers.authorization !== authorization) {
    response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="lamp"' }).end()
    return
  }
  if (kind === 'tags') {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ name: 'firmware/lamp', tags }))
    return
  }
  if (kind === 'referrers' || content === undefined) {
    response.writeHead(404).end()
    return
  }
  send(response, content, method, { 'Docker-Content-Digest': digest })
}

/** Sends content with its own type and length; what `headers` names wins. */
export function send(response: ServerResponse, { mediaType, bytes }: StoredBytes, method = 'GET', headers: object = {}): void {
  response.writeHead(200, { 'Content-Type': mediaType, 'Content-Length': bytes.length, ...headers })
  response.end(method === 'HEAD' ? undefined : bytes)
}

async function listening(listener: (request: IncomingMessage, response: ServerResponse) => void) {
  const server: Server = createServer((request, response) => {
    // A client that goes in the middle of an attack is what is hoped for.
    response.on('error', () => {})
    request.resume()
    listener(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}
