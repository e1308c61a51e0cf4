import type { IncomingMessage, ServerResponse } from 'node:http'
import { closeHttpBody } from '../body.ts'
import type { HttpBody, HttpResponse } from '../http-message.ts'
import type { HttpService } from '../http-service.ts'
import { malformed, recordRequest } from '../request-record.ts'
import { type BufferPool, createBufferPool } from './buffer-pool.ts'
import { NodeRequest } from './node-request.ts'
import { type OpenedBody, openBody } from './opened-body.ts'
import { createOutlet } from './outlet.ts'
import { createPipelineGuard } from './pipeline-guard.ts'
import { sendBody } from './send-body.ts'
import { createStallGuard } from './stall-guard.ts'
import { createTurns } from './turns.ts'

/** A listener for node:http and for frameworks over it: `next` is called for paths that are not ours. */
export type NodeListener = (incoming: IncomingMessage, outgoing: ServerResponse, next?: () => void) => void

export interface NodeAdapter {
  readonly listener: NodeListener
  /** For `checkContinue`: a body that will be refused is never sent. */
  readonly continueListener: (incoming: IncomingMessage, outgoing: ServerResponse) => void
  /** From now on each answer closes its connection. */
  drain(): void
  readonly pool: BufferPool
}

/** Bytes of a body that the kernel takes at once, so that there is nothing to watch. */
const smallLimit = 64 * 1024

/** How a connection is recorded that sent more requests than may wait. */
const tooManyAtOnce = { status: 429, durationMs: 0, bytes: 0, code: 'TOO_MANY_AT_ONCE', cut: true } as const

interface Exchange {
  readonly request: NodeRequest
  readonly outgoing: ServerResponse
  /** Milliseconds of the monotonic clock; 0 where nobody asks. */
  readonly started: number
}

export function createNodeAdapter(service: HttpService): NodeAdapter {
  const { limits, onRequest } = service
  const pool = createBufferPool(limits.bufferBytes)
  const guard = createStallGuard(limits, () => pool.isSpent)
  const pipeline = createPipelineGuard(limits.pipelined, () => {
    if (onRequest !== undefined) recordRequest(onRequest, 'OTHER', { route: malformed, deviceId: undefined }, tooManyAtOnce)
  })
  const turns = createTurns(work, send)
  let draining = false

  function serve(incoming: IncomingMessage, outgoing: ServerResponse, next?: () => void, beforeBody?: () => void): void {
    const request = new NodeRequest(incoming, outgoing, beforeBody)
    if (next !== undefined && !service.handles(request.path)) {
      next()
      return
    }
    if (!pipeline.admits(incoming, outgoing)) return
    turns.begin({ request, outgoing, started: onRequest === undefined ? 0 : performance.now() })
  }

  function work(exchange: Exchange): void {
    // It never rejects.
    void service.answer(exchange.request).then((response) => turns.end(exchange, response))
  }

  function send(exchange: Exchange, response: HttpResponse): void {
    try {
      respond(exchange, response)?.catch((error: unknown) => giveUp(exchange, error))
    } catch (error) {
      giveUp(exchange, error)
    }
  }

  function respond(exchange: Exchange, response: HttpResponse): Promise<void> | undefined {
    const { request, outgoing } = exchange
    const { body, length } = response
    if (outgoing.destroyed) {
      closeHttpBody(body)
      return record(exchange, response, 0, true)
    }
    if (draining || response.close === true || request.mustClose) outgoing.shouldKeepAlive = false
    if (body === undefined || typeof body === 'string' || length === 0) {
      closeHttpBody(body)
      return sendSmall(exchange, response, typeof body === 'string' ? body : undefined)
    }
    if (body instanceof Uint8Array && length <= smallLimit && response.sent === undefined) return sendSmall(exchange, response, body)
    return transfer(exchange, response, body)
  }

  /** Head and body leave in one write. */
  function sendSmall(exchange: Exchange, response: HttpResponse, body: string | Uint8Array | undefined): undefined {
    const { outgoing } = exchange
    writeHead(outgoing, response)
    outgoing.end(body)
    record(exchange, response, body === undefined ? 0 : response.length, false)
  }

  async function transfer(exchange: Exchange, response: HttpResponse, body: HttpBody): Promise<void> {
    const { request, outgoing } = exchange
    // Behind another answer of its connection, this one has no way out yet: it must not hold buffers, which nobody would free if the client went.
    if (outgoing.socket === null) await new Promise((resolve) => outgoing.once('socket', resolve))
    let opened: OpenedBody
    try {
      opened = await openBody(body)
    } catch (error) {
      return respond(exchange, service.refuse(request, error))
    }
    writeHead(outgoing, response)
    const outlet = createOutlet(outgoing, guard)
    let whole = false
    let cause: unknown
    try {
      whole = await sendBody(outlet, opened, response.length, pool, isEncrypted(outgoing))
    } catch (error) {
      // The head has promised more: cutting is the only honest end.
      cause = error
      outgoing.destroy()
    }
    if (whole) void response.sent?.()
    record(exchange, response, outlet.bytes, !whole, cause)
  }

  function record({ request, started }: Exchange, response: HttpResponse, bytes: number, cut: boolean, cause?: unknown): undefined {
    if (onRequest === undefined) return
    const { status, code } = response
    const outcome = { status, code, bytes, cut, durationMs: performance.now() - started }
    recordRequest(onRequest, request.method, request.seen, outcome, cause ?? response.cause)
  }

  /** For what no route foresaw, such as a header that Node refuses to write. */
  function giveUp(exchange: Exchange, error: unknown): void {
    const { outgoing } = exchange
    const response: HttpResponse = { status: 500, headers: ['Content-Length', '0'], length: 0, code: 'INTERNAL', cause: error }
    if (outgoing.headersSent || outgoing.destroyed) outgoing.destroy()
    else writeHead(outgoing, response).end()
    record(exchange, response, 0, false)
  }

  return Object.freeze<NodeAdapter>({
    pool,
    listener: (incoming, outgoing, next) => serve(incoming, outgoing, next),
    continueListener: (incoming, outgoing) => serve(incoming, outgoing, undefined, () => outgoing.writeContinue()),
    drain() {
      draining = true
    },
  })
}

/** The flat list goes to the wire as it is; Node takes it so without making objects of it. */
function writeHead(outgoing: ServerResponse, { status, headers }: HttpResponse): ServerResponse {
  return outgoing.writeHead(status, headers as string[])
}

function isEncrypted({ socket }: ServerResponse): boolean {
  return socket !== null && 'encrypted' in socket
}
