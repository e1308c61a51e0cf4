import { Agent, type IncomingMessage, request as plainRequest, type RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import type { HttpCaller } from './http-caller.ts'

/** What the client shows and trusts. PEM. */
export interface ClientTls {
  /** Authorities that are trusted instead of those of the runtime. */
  readonly ca?: string | readonly string[]
  /** The device's own certificate and key. */
  readonly cert?: string
  readonly key?: string
}

/** Calls through node:http and node:https, which fetch a large image with three quarters of the time of the global fetch. */
export function nodeCaller(tls: ClientTls, idleTimeoutMs: number): HttpCaller {
  // One connection carries check-in, image and report; a second never waits for a download.
  const plain = new Agent({ keepAlive: true, maxSockets: 2 })
  const secure = new TlsAgent({
    keepAlive: true,
    maxSockets: 2,
    ...(tls.ca === undefined ? {} : { ca: tls.ca as string }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  })
  const send: HttpCaller['send'] = ({ method, url, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const isTls = url.protocol === 'https:'
      const options: RequestOptions = { method, headers: { ...headers }, agent: isTls ? secure : plain, ...(signal ? { signal } : {}) }
      if (body !== undefined) options.headers = { ...options.headers, 'Content-Length': body.length }
      const outgoing = isTls ? tlsRequest(url, options) : plainRequest(url, options)
      outgoing.setTimeout(idleTimeoutMs, () => outgoing.destroy(new Error(`no byte for ${idleTimeoutMs} ms`)))
      outgoing.once('error', reject)
      outgoing.once('response', (incoming: IncomingMessage) => {
        resolve({
          status: incoming.statusCode ?? 0,
          header(name) {
            const value = incoming.headers[name]
            return Array.isArray(value) ? value.join(', ') : value
          },
          body: incoming,
        })
      })
      outgoing.end(body)
    })
  return {
    send,
    close() {
      plain.destroy()
      secure.destroy()
    },
  }
}
