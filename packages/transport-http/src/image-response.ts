import { randomBytes } from 'node:crypto'
import {
  type Body,
  type Digest,
  digestAlgorithm,
  digestHex,
  type Gateway,
  type OfferRef,
  type Principal,
  type Representation,
} from '@reflash/core'
import { bodySize, closeBody, cutBody } from './body.ts'
import { fail } from './http-errors.ts'
import type { HttpRequest, HttpResponse } from './http-message.ts'
import { type ByteSpan, type Conditions, type Selection, select } from './range.ts'

/** Where an image comes from, and who wants it. */
export interface ImageSource {
  readonly gateway: Gateway
  readonly who: Principal
  readonly offer: OfferRef
  readonly component?: string
  readonly maxRanges: number
  /** Called once when a whole image was handed to the connection. */
  readonly sent?: () => Promise<void>
}

const octets = 'application/octet-stream'

/**
 * Answers GET and HEAD for one image: a strong ETag which is the digest in quotes, exact Content-Length, never a content coding;
 * If-Match, If-None-Match, Range with If-Range (RFC 9110), Repr-Digest (RFC 9530).
 */
export async function imageResponse(request: HttpRequest, source: ImageSource): Promise<HttpResponse> {
  const { gateway, who, offer, component } = source
  const { signal } = request
  if (request.method === 'HEAD') {
    const representation = await gateway.head(who, offer, component, { signal })
    const selection = select(conditionsOf(request), selectedOf(representation), source.maxRanges)
    return selection.status === 200 ? headOf(representation) : withoutBody(selection.status, representation)
  }
  const { representation, body } = await gateway.read(who, offer, component, { signal })
  const selection = select(conditionsOf(request), selectedOf(representation), source.maxRanges)
  if (selection.status === 200) return wholeImage(representation, body, source)
  if (selection.status !== 206) {
    closeBody(body)
    return withoutBody(selection.status, representation)
  }
  return partOfImage(selection, representation, body, request, source)
}

function conditionsOf(request: HttpRequest): Conditions {
  return {
    method: request.method,
    ifMatch: request.header('if-match'),
    ifNoneMatch: request.header('if-none-match'),
    ifRange: request.header('if-range'),
    range: request.header('range'),
  }
}

function selectedOf({ descriptor }: Representation) {
  return { etag: `"${descriptor.digest}"`, size: descriptor.size }
}

function headOf(representation: Representation): HttpResponse {
  const { size } = representation.descriptor
  return {
    status: 200,
    headers: ['Content-Type', octets, 'Content-Length', String(size), ...describing(representation), ...naming(representation)],
    length: size,
  }
}

function wholeImage(representation: Representation, body: Body, { sent }: ImageSource): HttpResponse {
  const head = headOf(representation)
  expectSize(body, head.length)
  return { ...head, body, ...(sent === undefined ? {} : { sent }) }
}

function withoutBody(status: 304 | 412 | 416 | 206 | 200, representation: Representation): HttpResponse {
  // RFC 9110, 15.4.5: a 304 repeats what the cache needs. 15.5.17: a 416 tells the length, so that the client can ask better.
  if (status === 304) return { status, headers: describing(representation), length: 0 }
  const range = status === 416 ? ['Content-Range', `bytes */${representation.descriptor.size}`] : []
  return {
    status,
    headers: ['Content-Length', '0', ...range],
    length: 0,
    code: status === 416 ? 'RANGE_NOT_SATISFIABLE' : 'PRECONDITION_FAILED',
  }
}

async function partOfImage(
  { spans }: Extract<Selection, { status: 206 }>,
  representation: Representation,
  body: Body,
  request: HttpRequest,
  source: ImageSource,
): Promise<HttpResponse> {
  const { size } = representation.descriptor
  const held = bodySize(body)
  // A server may ignore a Range (RFC 9110, 14.2): a stream can be read once only.
  if (held === undefined && spans.length > 1) return wholeImage(representation, body, source)
  expectSize(body, size)
  if (spans.length > 1) return multipart(spans, representation, body)
  const span = spans[0] as ByteSpan
  const length = span.end - span.start
  const part = held === undefined ? await readAgain(span, representation, body, request, source) : cutBody(body, span)
  return {
    status: 206,
    headers: [
      'Content-Type',
      octets,
      'Content-Length',
      String(length),
      'Content-Range',
      contentRange(span, size),
      ...describing(representation),
      ...naming(representation),
    ],
    body: part,
    length,
  }
}

/** A gateway that streams opens the part by itself. */
async function readAgain(span: ByteSpan, expected: Representation, body: Body, request: HttpRequest, source: ImageSource): Promise<Body> {
  closeBody(body)
  const { gateway, who, offer, component } = source
  const range = { offset: span.start, length: span.end - span.start, signal: request.signal }
  const again = await gateway.read(who, offer, component, range)
  // `current` may have moved between the two reads: never a mix of two images under one tag.
  if (again.representation.descriptor.digest === expected.descriptor.digest) return again.body
  closeBody(again.body)
  throw fail('IMAGE_UNREADABLE', 'the offer changed while its image was opened')
}

/**
 * RFC 9110, 14.6. Framed as nginx does, so that lengths are equal too: CRLF `--` boundary CRLF, the part's two headers, an empty line, its bytes;
 * CRLF `--` boundary `--` CRLF at the end; a boundary of 20 letters.
 */
function multipart(spans: readonly ByteSpan[], representation: Representation, body: Body): HttpResponse {
  const { size } = representation.descriptor
  const boundary = randomBytes(10).toString('hex')
  const parts: Body[] = []
  let length = 0
  for (const span of spans) {
    const head = Buffer.from(`\r\n--${boundary}\r\nContent-Type: ${octets}\r\nContent-Range: ${contentRange(span, size)}\r\n\r\n`)
    parts.push(head, cutBody(body, span))
    length += head.length + span.end - span.start
  }
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  parts.push(tail)
  length += tail.length
  return {
    status: 206,
    headers: [
      'Content-Type',
      `multipart/byteranges; boundary=${boundary}`,
      'Content-Length',
      String(length),
      ...describing(representation),
    ],
    body: parts,
    length,
  }
}

function contentRange({ start, end }: ByteSpan, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`
}

/** What names the bytes. The URL names them for ever, but they are one device's: only its own cache may keep them, and no proxy may recode them. */
function describing({ descriptor }: Representation): string[] {
  const headers = [
    'ETag',
    `"${descriptor.digest}"`,
    'Accept-Ranges',
    'bytes',
    'Cache-Control',
    'private, max-age=31536000, immutable, no-transform',
  ]
  const digest = reprDigest(descriptor.digest)
  if (digest !== undefined) headers.push('Repr-Digest', digest)
  return headers
}

function naming({ fileName }: Representation): string[] {
  return ['Content-Disposition', contentDisposition(fileName), 'X-Content-Type-Options', 'nosniff']
}

/** RFC 9530, 3; its registry has no SHA-384. */
export function reprDigest(digest: Digest): string | undefined {
  const algorithm = digestAlgorithm(digest)
  if (algorithm === 'sha384') return undefined
  return `${algorithm === 'sha256' ? 'sha-256' : 'sha-512'}=:${Buffer.from(digestHex(digest), 'hex').toString('base64')}:`
}

/** RFC 6266 with RFC 8187 for other letters. The name is whatever the pusher wrote: nothing of it can end the header or climb a path. */
export function contentDisposition(fileName: string): string {
  const name = (fileName.split(/[\\/]/).pop() ?? '').slice(0, 128)
  const plain = name.replace(/[^A-Za-z0-9 ._+~@=()-]/g, '_')
  const quoted = `attachment; filename="${plain === '' ? 'image.bin' : plain}"`
  if (plain === name) return quoted
  const encoded = encodeURIComponent(name.toWellFormed()).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
  return `${quoted}; filename*=UTF-8''${encoded}`
}

function expectSize(body: Body, size: number): void {
  const held = bodySize(body)
  if (held === undefined || held === size) return
  closeBody(body)
  throw fail('IMAGE_SIZE_WRONG', `expected a body of ${size} bytes as the descriptor says, found ${held}`)
}
