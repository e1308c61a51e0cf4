import { throwIfAborted } from '@reflash/core'
import { closeHttpBody } from '../body.ts'
import { fail } from '../http-errors.ts'
import type { HttpBody, HttpRequest, HttpResponse, Seen } from '../http-message.ts'
import type { HttpService } from '../http-service.ts'
import { recordRequest } from '../request-record.ts'
import { type OpenedBody, openBody, readFileAt } from './opened-body.ts'

/** What the server around knows of the connection; a web-standard Request does not say. */
export interface WebPeer {
  readonly peer?: string
  /** The client certificate, DER, only where TLS has verified it. */
  readonly certificate?: Uint8Array
}

/** A web-standard handler. */
export type FetchHandler = (request: Request, seen?: WebPeer) => Promise<Response>

/** Bytes that are read from a file at a time; a Web stream keeps what it is given, so these are not pooled. */
const chunkBytes = 64 * 1024

/** Answers web-standard requests. For speed use the Node listener: one write, pooled buffers and slow readers are out of reach here. */
export function createWebAdapter(service: HttpService): FetchHandler {
  return async (incoming, peer = {}) => {
    const started = performance.now()
    const request = webRequest(incoming, peer)
    const record = (response: HttpResponse, bytes: number, cut: boolean, cause: unknown = response.cause): void => {
      if (service.onRequest === undefined) return
      const { status, code } = response
      const outcome = { status, code, bytes, cut, durationMs: performance.now() - started }
      recordRequest(service.onRequest, request.method, request.seen, outcome, cause)
    }
    const answer = await service.answer(request)
    const { response, opened } = await prepare(service, request, answer)
    const headers = new Headers()
    for (let index = 0; index < response.headers.length; index += 2) {
      headers.append(response.headers[index] as string, response.headers[index + 1] as string)
    }
    if (opened === undefined) {
      record(response, response.body === undefined ? 0 : response.length, false)
      return new Response(textOf(response.body), { status: response.status, headers })
    }
    const done = (bytes: number, whole: boolean, cause?: unknown): void => {
      if (whole) void response.sent?.()
      record(response, bytes, !whole, cause)
    }
    return new Response(streamOf(opened, response.length, done), { status: response.status, headers })
  }
}

async function prepare(
  service: HttpService,
  request: HttpRequest,
  response: HttpResponse,
): Promise<{ readonly response: HttpResponse; readonly opened?: OpenedBody }> {
  const { body, length } = response
  if (body === undefined || typeof body === 'string') return { response }
  if (length === 0) {
    closeHttpBody(body)
    return { response: { ...response, body: '' } }
  }
  try {
    return { response, opened: await openBody(body) }
  } catch (error) {
    return { response: service.refuse(request, error) }
  }
}

function textOf(body: HttpBody | undefined): string | null {
  return typeof body === 'string' ? body : null
}

function webRequest(incoming: Request, { peer, certificate }: WebPeer): HttpRequest {
  const { url, method, headers, signal } = incoming
  const start = url.indexOf('/', url.indexOf('://') + 3)
  const mark = url.indexOf('?')
  const seen: Seen = { route: undefined, deviceId: undefined }
  return {
    method,
    path: url.slice(start, mark < 0 ? undefined : mark),
    query: mark < 0 ? '' : url.slice(mark + 1),
    peer,
    certificate,
    secure: url.startsWith('https:'),
    signal,
    seen,
    header: (name) => headers.get(name) ?? undefined,
    body: (limitBytes) => readBody(incoming, limitBytes),
  }
}

async function readBody(incoming: Request, limitBytes: number): Promise<Uint8Array> {
  if (incoming.body === null) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of incoming.body as unknown as AsyncIterable<Uint8Array>) {
      size += chunk.length
      if (size > limitBytes) throw fail('BODY_TOO_LARGE', `expected a body of at most ${limitBytes} bytes, found more`)
      chunks.push(chunk)
    }
  } catch (error) {
    throwIfAborted(incoming.signal)
    throw error
  }
  return Buffer.concat(chunks, size)
}

/** Pulls as the reader reads; a body of the wrong size errors the stream. */
function streamOf(
  opened: OpenedBody,
  length: number,
  done: (bytes: number, whole: boolean, cause?: unknown) => void,
): ReadableStream<Uint8Array> {
  const chunks = chunksOf(opened)
  let bytes = 0
  const finish = (whole: boolean, cause?: unknown): void => {
    opened.close()
    done(bytes, whole, cause)
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const step = await chunks.next()
          if (!step.done) bytes += step.value.length
          if (bytes > length || (step.done && bytes < length)) {
            throw fail('IMAGE_SIZE_WRONG', `expected a body of ${length} bytes as its descriptor says, found ${bytes}`)
          }
          if (step.done) {
            controller.close()
            finish(true)
          } else controller.enqueue(step.value)
        } catch (error) {
          finish(false, error)
          throw error
        }
      },
      cancel: () => finish(false),
    },
    { highWaterMark: 0 },
  )
}

async function* chunksOf({ parts }: OpenedBody): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part.kind === 'bytes') {
      for (let at = 0; at < part.bytes.length; at += chunkBytes) yield part.bytes.slice(at, at + chunkBytes)
    } else if (part.kind === 'stream') {
      for (let step = part.first; !step.done; step = await part.rest.next()) yield step.value
    } else {
      for (let done = 0; done < part.length; ) {
        const chunk = new Uint8Array(Math.min(chunkBytes, part.length - done))
        const count = await readFileAt(part.file, chunk, chunk.length, part.offset + done)
        if (count === 0) return
        done += count
        yield chunk.subarray(0, count)
      }
    }
  }
}
