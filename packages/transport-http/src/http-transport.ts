import { createServer, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net'
import { createSecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls'
import { type CallOptions, type ServeContext, type Serving, type Transport, throwIfAborted } from '@reflash/core'
import { createNodeAdapter, type NodeAdapter } from './adapter/node-adapter.ts'
import { fail } from './http-errors.ts'
import { type CheckedOptions, checkServiceOptions, createHttpService, type HttpService, type HttpServiceOptions } from './http-service.ts'
import type { HttpLimits } from './limits.ts'
import { parseListen } from './listen-address.ts'
import { malformed, recordRequest } from './request-record.ts'

/** Certificate and key of the server, PEM; and who signs the certificates of devices, where they have any. */
export interface HttpTls {
  readonly cert: string | Uint8Array
  readonly key: string | Uint8Array
  readonly passphrase?: string
  /** Authorities of client certificates, PEM. A device without one still gets in if an authenticator knows its token. */
  readonly clientCa?: string | Uint8Array | readonly (string | Uint8Array)[]
  /** 1.2 where absent: 1.3 is too new for some devices. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
}

export interface HttpTransportOptions extends HttpServiceOptions {
  /** `host:port`; port 0 takes any free one. `127.0.0.1:8080` where absent, so that nothing is open to a network unasked. */
  readonly listen?: string
  readonly tls?: HttpTls
}

/**
 * Makes the transport for devices that ask over HTTP. `serve` resolves once it listens; disposing stops accepting, lets running answers
 * end within `limits.drainMs` and then cuts them.
 * @throws `INVALID_OPTION`; `serve` throws `LISTEN_FAILED`, `ABORTED`
 */
export function httpTransport(options: HttpTransportOptions = {}): Transport & Required<Pick<Transport, 'serve'>> {
  const checked = checkServiceOptions(options)
  const address = parseListen(options.listen ?? '127.0.0.1:8080')
  const { tls } = options
  if (tls !== undefined) checkTls(tls)
  return Object.freeze({
    kind: 'transport',
    name: 'http',
    spec: 0,
    serve: (context: ServeContext, { signal }: CallOptions = {}) => serve(checked, address, tls, context, signal),
  })
}

/** Reads the certificates now, so that a wrong one fails at start and names itself; never the key. */
function checkTls(tls: HttpTls): void {
  if (typeof tls !== 'object' || tls === null) throw fail('INVALID_OPTION', 'tls: expected { cert, key } in PEM, found another value')
  try {
    createSecureContext(secureOptions(tls))
  } catch (cause) {
    throw fail('INVALID_OPTION', 'tls: expected cert, key and clientCa in PEM that fit together, found some that OpenSSL refuses', {
      cause,
    })
  }
}

function secureOptions({ cert, key, passphrase, clientCa, minVersion = 'TLSv1.2' }: HttpTls): SecureContextOptions {
  return {
    cert: cert as string,
    key: key as string,
    minVersion,
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(clientCa === undefined ? {} : { ca: clientCa as string }),
  }
}

async function serve(
  checked: CheckedOptions,
  address: { readonly host: string; readonly port: number },
  tls: HttpTls | undefined,
  context: ServeContext,
  signal: AbortSignal | undefined,
): Promise<Serving> {
  throwIfAborted(signal)
  const service = createHttpService(checked, context)
  const adapter = createNodeAdapter(service)
  const server = makeServer(checked.limits, tls)
  const sockets = trackSockets(server)
  server.on('request', (incoming, outgoing) => adapter.listener(incoming, outgoing))
  server.on('checkContinue', adapter.continueListener)
  server.on('clientError', (error, socket) => refuseMalformed(error, socket as Socket, service))
  await listen(server, address)
  let disposed: Promise<void> | undefined
  const serving: Serving = {
    addresses: [`${tls === undefined ? 'http' : 'https'}://${hostPort(server.address() as AddressInfo)}`],
    [Symbol.asyncDispose]() {
      disposed ??= drain(server, sockets, adapter, checked.limits.drainMs).then(() => service.settled())
      return disposed
    },
  }
  if (!signal?.aborted) return Object.freeze(serving)
  await serving[Symbol.asyncDispose]()
  throwIfAborted(signal)
  return serving
}

function makeServer(limits: HttpLimits, tls: HttpTls | undefined): Server {
  const common = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: limits.checkIntervalMs,
    // A device that lost its power never says good-bye.
    keepAlive: true,
    keepAliveInitialDelay: limits.idleTimeoutMs,
    insecureHTTPParser: false,
    // Saves the stream of a body that is not there: a sixth of the time of a poll.
    optimizeEmptyRequests: true,
  }
  const server =
    tls === undefined
      ? createServer(common)
      : createTlsServer({
          ...common,
          ...secureOptions(tls),
          handshakeTimeout: limits.headersTimeoutMs,
          // A wrong certificate is answered by 401 and not by an alert that no device logs.
          ...(tls.clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: false }),
        })
  server.maxConnections = limits.maxConnections
  server.timeout = limits.idleTimeoutMs
  return server
}

function trackSockets(server: Server): Set<Socket> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return sockets
}

function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    // Kept for ever: a failed accept (too many files) must not end the process, and after listening this promise no longer cares.
    server.on('error', (error: NodeJS.ErrnoException) => {
      const found = error.code ?? 'an error'
      reject(fail('LISTEN_FAILED', `expected to listen on ${host}:${port}, found ${found}`, { cause: error, details: { host, port } }))
    })
    server.listen({ host, port }, resolve)
  })
}

function hostPort({ address, family, port }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
}

const parserStatus: Readonly<Record<string, number>> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }
const reasons: Readonly<Record<number, string>> = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' }

/** What Node's parser refuses: two lengths, a broken head, a head that is too large or too slow. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket, { onRequest }: HttpService): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const status = parserStatus[error.code ?? ''] ?? 400
  const answering = (socket as { readonly _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
  if (answering !== undefined && isLeftover(error, socket)) {
    // The request came whole before; nothing can be read after it, so the client is told to close.
    answering.shouldKeepAlive = false
    return
  }
  // Nothing may follow an answer that has begun: the bytes would be taken for its body.
  const begun = answering?.headersSent === true
  if (!begun) socket.write(`HTTP/1.1 ${status} ${reasons[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  socket.destroySoon()
  if (onRequest === undefined) return
  const outcome = { status, durationMs: 0, bytes: 0, code: error.code, cut: begun }
  recordRequest(onRequest, 'OTHER', { route: malformed, deviceId: undefined }, outcome)
}

/**
 * Whether an error is only what OpenSSL's failed verification of a client certificate has left in its queue, where Node takes it for one of the
 * connection at the next read. The certificate counts as not shown, and who it is that asks is for the authenticators to say.
 */
function isLeftover({ library }: NodeJS.ErrnoException & { readonly library?: string }, socket: Socket): boolean {
  const { encrypted, authorized } = socket as Partial<TLSSocket>
  return encrypted === true && authorized === false && library !== undefined && library !== 'SSL routines'
}

/** How often connections are looked at while draining; two looks without a byte mean idle. Milliseconds. */
const sweepMs = 50

async function drain(server: Server, sockets: ReadonlySet<Socket>, adapter: NodeAdapter, drainMs: number): Promise<void> {
  adapter.drain()
  // Not http's own close: it destroys connections whose answer has ended but still waits in this process to be written, and so cuts the last
  // bytes of slow downloads.
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()))
  const read = new Map<Socket, number>()
  const sweep = setInterval(() => {
    for (const socket of sockets) {
      const quiet = read.get(socket) === socket.bytesRead
      read.set(socket, socket.bytesRead)
      if (quiet && !isAnswering(socket)) socket.destroy()
    }
  }, sweepMs)
  const deadline = setTimeout(() => {
    for (const socket of sockets) socket.destroy()
  }, drainMs)
  await closed
  clearInterval(sweep)
  clearTimeout(deadline)
  // Ends the timer that http looks for late requests with; there is nothing left to close.
  server.close(() => undefined)
}

/** Whether an answer of this connection is not wholly with the kernel yet: http takes it off the socket when it is. */
function isAnswering(socket: Socket & { readonly _httpMessage?: unknown }): boolean {
  return (socket._httpMessage ?? null) !== null || socket.writableLength > 0
}
