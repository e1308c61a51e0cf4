import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { fail } from '../http-errors.ts'
import type { HttpRequest, Seen } from '../http-message.ts'

const none = new Uint8Array()

/** Bytes of a refused body that are read and thrown away, so that the connection lives on. */
const skipLimit = 64 * 1024

/** One certificate per connection, however many requests it carries. */
const certificates = new WeakMap<object, Uint8Array | null>()

/** A request of node:http. A class, because one is made per request and its parts are made only when asked for. */
export class NodeRequest implements HttpRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly seen: Seen = { route: undefined, deviceId: undefined }
  private readonly incoming: IncomingMessage
  private readonly outgoing: ServerResponse
  /** Asks the client to send its body, where it waits for that (Expect: 100-continue). */
  private beforeBody: (() => void) | undefined
  private controller: AbortController | undefined
  private bodyTaken = false

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, beforeBody?: () => void) {
    this.incoming = incoming
    this.outgoing = outgoing
    this.beforeBody = beforeBody
    this.method = incoming.method ?? ''
    const target = originForm(incoming.url ?? '/')
    const mark = target.indexOf('?')
    this.path = mark < 0 ? target : target.slice(0, mark)
    this.query = mark < 0 ? '' : target.slice(mark + 1)
  }

  header(name: string): string | undefined {
    const value = this.incoming.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  get peer(): string | undefined {
    return this.incoming.socket.remoteAddress
  }

  get secure(): boolean {
    return (this.incoming.socket as TLSSocket).encrypted === true
  }

  get certificate(): Uint8Array | undefined {
    const socket = this.incoming.socket as TLSSocket
    if (socket.authorized !== true) return undefined
    let certificate = certificates.get(socket)
    if (certificate === undefined) {
      certificate = socket.getPeerX509Certificate()?.raw ?? null
      certificates.set(socket, certificate)
    }
    return certificate ?? undefined
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      const controller = new AbortController()
      this.controller = controller
      const { outgoing } = this
      if (outgoing.destroyed) controller.abort()
      else {
        outgoing.on('close', () => {
          if (!outgoing.writableFinished) controller.abort(fail('REQUEST_CUT', 'the client went away before the answer was complete'))
        })
      }
    }
    return this.controller.signal
  }

  /** Whether so much of the body is unread that reading on only to keep the connection is not worth it. */
  get mustClose(): boolean {
    const { headers, complete } = this.incoming
    if (this.bodyTaken || complete) return false
    // Its length is unknown, or the client still waits for the word to send it and what comes next may be either.
    if (headers['transfer-encoding'] !== undefined || headers.expect !== undefined) return true
    return Number(headers['content-length'] ?? 0) > skipLimit
  }

  body(limitBytes: number): Promise<Uint8Array> {
    const { incoming } = this
    const declared = incoming.headers['content-length']
    const expected = declared === undefined ? -1 : Number(declared)
    if (expected > limitBytes) return Promise.reject(tooLarge(limitBytes))
    // Such a request has ended before it began, and may never say so (optimizeEmptyRequests).
    if (expected === 0 || (expected < 0 && incoming.headers['transfer-encoding'] === undefined)) return Promise.resolve(none)
    // A connection that broke before anybody asked for the body says so no more.
    if (incoming.destroyed) return Promise.reject(cutShort())
    this.beforeBody?.()
    this.beforeBody = undefined
    return new Promise((resolve, reject) => {
      let chunks: Buffer[] | undefined
      let size = 0
      const done = (bytes: Uint8Array): void => {
        this.bodyTaken = true
        resolve(bytes)
      }
      incoming.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > limitBytes) {
          incoming.removeAllListeners('data')
          reject(tooLarge(limitBytes))
        } else if (size === expected) {
          // Nothing can follow: one event fewer for nearly every request.
          done(chunks === undefined ? chunk : Buffer.concat([...chunks, chunk], size))
        } else if (chunks === undefined) chunks = [chunk]
        else chunks.push(chunk)
      })
      if (expected < 0) incoming.on('end', () => done(Buffer.concat(chunks ?? [], size)))
      incoming.on('close', () => {
        // Every request closes; an error is made only for one that was cut, because making one costs more than answering.
        if (!this.bodyTaken) reject(cutShort())
      })
    })
  }
}

/** RFC 9112, 3.2.2: a server takes the absolute form too, from clients that think it a proxy. */
function originForm(url: string): string {
  if (url.charCodeAt(0) === 47) return url
  const scheme = url.indexOf('://')
  if (scheme < 0) return '/'
  const slash = url.indexOf('/', scheme + 3)
  return slash < 0 ? '/' : url.slice(slash)
}

function cutShort(): Error {
  return fail('REQUEST_CUT', 'the client went away before its request was complete')
}

function tooLarge(limitBytes: number): Error {
  return fail('BODY_TOO_LARGE', `expected a body of at most ${limitBytes} bytes, found more`)
}
