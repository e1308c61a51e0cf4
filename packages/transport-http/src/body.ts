import type { Body, ByteStream, FileRange } from '@reflash/core'
import type { HttpBody } from './http-message.ts'
import type { ByteSpan } from './range.ts'

export function isFileRange(body: Body): body is FileRange {
  return 'path' in body && typeof body.path === 'string'
}

/** Bytes of a body; undefined for a stream, which does not say. */
export function bodySize(body: Body): number | undefined {
  if (body instanceof Uint8Array) return body.length
  return isFileRange(body) ? body.length : undefined
}

/** A part of a body that is no stream, without a copy. */
export function cutBody(body: Body, { start, end }: ByteSpan): Body {
  if (body instanceof Uint8Array) return body.subarray(start, end)
  const { path, offset } = body as FileRange
  return { path, offset: offset + start, length: end - start }
}

/** Releases what an unread body holds. Only streams hold anything. */
export function closeBody(body: Body): void {
  if (body instanceof Uint8Array || isFileRange(body)) return
  // What its source says when nobody listens any more is of no use.
  void closeStream(body).catch(() => undefined)
}

/** Releases what an unsent answer holds. */
export function closeHttpBody(body: HttpBody | undefined): void {
  if (body === undefined || typeof body === 'string') return
  if (isList(body)) for (const part of body) closeBody(part)
  else closeBody(body)
}

export function isList(body: HttpBody): body is readonly Body[] {
  return Array.isArray(body)
}

async function closeStream(stream: ByteStream): Promise<void> {
  await stream[Symbol.asyncIterator]().return?.()
}
