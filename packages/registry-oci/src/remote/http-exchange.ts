import { getCACertificates } from 'node:tls'
import { type ByteStream, coreError, type OtaError } from '@reflash/core'
import { Agent, type Dispatcher } from 'undici'
import { fail } from '../oci-errors.ts'
import type { OciSettings } from '../oci-options.ts'

/** One request; nothing is followed and nothing tried again. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** `open` is called for each sending; exactly `size` bytes must come. */
  readonly body?: { readonly size: number; readonly open: () => ByteStream }
  /** Whether the origin may see the client certificate. */
  readonly ownOrigin: boolean
  readonly signal?: AbortSignal | undefined
}

export interface HttpAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The bytes after the head. Ends with an error where the connection breaks or stalls. Read it once, or discard it. */
  readonly body: ByteStream
  /** Gives the connection back without reading. */
  discard(): void
}

/** Sends requests; connections are opened at the first one and end at `close`. */
export interface HttpExchange {
  send(request: HttpRequest): Promise<HttpAnswer>
  close(): Promise<void>
}

// An unread body up to this size costs less than a new connection.
const drainBytes = 16_384

/** Makes the wire: time bounds, cancellation and the names of failures; it knows nothing of registries. */
export function httpExchange({ limits, ca, clientCert }: OciSettings): HttpExchange {
  const agents = new Map<boolean, Agent>()
  let closed = false

  function agentFor(ownOrigin: boolean): Agent {
    const withCert = ownOrigin && clientCert !== undefined
    const agent = agents.get(withCert) ?? makeAgent(withCert)
    agents.set(withCert, agent)
    return agent
  }

  function makeAgent(withCert: boolean): Agent {
    return new Agent({
      connections: limits.connections,
      // HTTP/1.1 alone: every registry speaks it, and one download cannot hold up another on a shared connection.
      allowH2: false,
      // Our own timers are exact, and know when it is the reader who is slow.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: {
        timeout: limits.connectTimeoutMs,
        ...(ca.length === 0 ? {} : { ca: [...getCACertificates('default'), ...ca] }),
        ...(withCert ? clientCert : {}),
      },
    })
  }

  return Object.freeze({
    async send(request: HttpRequest): Promise<HttpAnswer> {
      if (closed) throw closedError()
      const lifeline = new Lifeline(request.signal, limits.answerTimeoutMs)
      try {
        const answer = await agentFor(request.ownOrigin).request(dispatchOptions(request, lifeline))
        lifeline.rearm(limits.idleTimeoutMs)
        return answerOf(answer, lifeline, request.url)
      } catch (error) {
        lifeline.end()
        throw failureOf(error, lifeline, request.url)
      }
    },
    async close() {
      closed = true
      await Promise.all([...agents.values()].map((agent) => agent.destroy()))
    },
  })
}

function dispatchOptions(request: HttpRequest, lifeline: Lifeline): Dispatcher.RequestOptions {
  const { method, url, headers, body } = request
  return {
    method,
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    // Without `identity` a server may answer compressed, and offsets and digests would be those of other bytes.
    headers: {
      'user-agent': 'reflash',
      'accept-encoding': 'identity',
      ...headers,
      ...(body === undefined ? {} : { 'content-length': `${body.size}` }),
    },
    signal: lifeline.signal,
    // undici sends any async iterable; its types name streams only.
    ...(body === undefined ? {} : { body: alive(body.open(), lifeline) as never }),
  }
}

async function* alive(body: ByteStream, lifeline: Lifeline): ByteStream {
  try {
    for await (const chunk of body) {
      lifeline.touch()
      yield chunk
    }
    lifeline.touch()
  } catch (error) {
    lifeline.sourceError = { error }
    throw error
  }
}

function answerOf(answer: Dispatcher.ResponseData, lifeline: Lifeline, url: URL): HttpAnswer {
  const { body } = answer
  // Whatever ends the connection ends the timer, also where nobody ever reads.
  body.on('close', () => lifeline.end()).on('error', () => {})
  return {
    status: answer.statusCode,
    headers: answer.headers as HttpAnswer['headers'],
    body: { [Symbol.asyncIterator]: () => bodyOf(body, lifeline, url) },
    discard: () => void body.dump({ limit: drainBytes }).catch(() => {}),
  }
}

async function* bodyOf(body: Dispatcher.ResponseData['body'], lifeline: Lifeline, url: URL): AsyncGenerator<Uint8Array, undefined> {
  const chunks = body[Symbol.asyncIterator]()
  try {
    for (;;) {
      lifeline.touch()
      const { done, value } = await chunks.next()
      lifeline.pause()
      if (done) return
      yield value
    }
  } catch (error) {
    throw failureOf(error, lifeline, url)
  } finally {
    lifeline.end()
    body.destroy()
  }
}

/** Ends an exchange that the caller cancels or the other side lets hang. */
class Lifeline {
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal | undefined
  #timer: NodeJS.Timeout
  #milliseconds: number
  #paused = false
  timedOut = false
  /** What reading our own body threw. */
  sourceError: { readonly error: unknown } | undefined

  constructor(caller: AbortSignal | undefined, milliseconds: number) {
    this.#caller = caller
    this.#milliseconds = milliseconds
    this.#timer = setTimeout(this.#expire, milliseconds)
    if (caller?.aborted) this.#onAbort()
    else caller?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get milliseconds(): number {
    return this.#milliseconds
  }

  get cancelled(): boolean {
    return this.#caller?.aborted === true
  }

  /** The other side is awaited from now on. */
  touch(): void {
    this.#paused = false
    this.#timer.refresh()
  }

  /** Our own reader has the word: the other side is not to blame for the time that passes. */
  pause(): void {
    this.#paused = true
  }

  rearm(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#milliseconds = milliseconds
    this.#timer = setTimeout(this.#expire, milliseconds)
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#caller?.removeEventListener('abort', this.#onAbort)
  }

  readonly #expire = (): void => {
    if (this.#paused) return
    this.timedOut = true
    this.#controller.abort(new Error('the other side stalled'))
  }

  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason)
}

/** Which of the codes stands for a failure of the wire. Codes of Node: errors.md and tls.md; of undici: Errors.md. */
function failureOf(error: unknown, lifeline: Lifeline, url: URL): unknown {
  if (lifeline.cancelled) return coreError('ABORTED', 'the caller cancelled', { cause: error })
  // A digest that is wrong, a file that cannot be read: not the registry's fault, and not to be tried again.
  if (lifeline.sourceError !== undefined) return lifeline.sourceError.error
  const code = codeOf(error)
  const details = { host: url.host, ...(code === undefined ? {} : { code }) }
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return closedError(error)
  if (lifeline.timedOut) {
    return coreError('REGISTRY_SILENT', `${url.origin}: expected an answer within ${lifeline.milliseconds} ms, found silence`, { details })
  }
  // Node's parser stops at 16 KiB of header fields, of whichever undici runs on.
  if (code === 'HPE_HEADER_OVERFLOW' || code === 'UND_ERR_HEADERS_OVERFLOW') {
    return fail('HEADERS_TOO_LARGE', `${url.origin}: expected header fields that end, found more of them than are read`, { details })
  }
  if (code !== undefined && untrusted.test(code)) {
    const next = 'pass its authority as `ca`, or mend the certificate'
    return fail('REGISTRY_UNTRUSTED', `${url.origin}: expected a certificate that is trusted for ${url.hostname}, found ${code}; ${next}`, {
      details,
      cause: error,
    })
  }
  const hint = code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO' ? '; if it speaks plain http, name it in `plainHttp`' : ''
  return coreError('REGISTRY_UNAVAILABLE', `${url.origin}: expected an answer, found ${code ?? 'a broken connection'}${hint}`, {
    details,
    cause: error,
  })
}

const untrusted = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:GET_ISSUER|VERIFY)|ERR_TLS_CERT_|HOSTNAME_MISMATCH$|INVALID_PURPOSE$)/

function codeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = (at as NodeJS.ErrnoException).code
    if (typeof code === 'string') return code
  }
  return undefined
}

function closedError(cause?: unknown): OtaError {
  return coreError('ABORTED', 'expected an open registry plugin, found one after close()', { cause })
}
