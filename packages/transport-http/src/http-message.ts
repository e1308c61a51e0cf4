import type { Body } from '@reflash/core'
import type { Route } from './protocol/dialect.ts'

/** A request as the routes see it: no word of Node, none of the web standard. Made by an adapter. */
export interface HttpRequest {
  readonly method: string
  /** As on the wire, without the query; percent-encoded. */
  readonly path: string
  /** As on the wire, without the question mark; empty where absent. */
  readonly query: string
  /** Address of the peer, for the record only. */
  readonly peer: string | undefined
  /** The client certificate, DER, where TLS has verified it. */
  readonly certificate: Uint8Array | undefined
  /** Whether the request came over TLS to this process. */
  readonly secure?: boolean
  /** Fires when the client goes away before the answer is complete. */
  readonly signal: AbortSignal
  /** The value of a header by its lower case name. */
  header(name: string): string | undefined
  /** The whole body. @throws `BODY_TOO_LARGE`, `REQUEST_CUT` */
  body(limitBytes: number): Promise<Uint8Array>
  /** Noted while the request is answered, for its record. */
  readonly seen: Seen
}

/** What answering has found out: the route, and the device that the request speaks of (its id is well-formed; it need not be authentic). */
export interface Seen {
  route: Route | undefined
  deviceId: string | undefined
}

/** `string` is UTF-8 text; a list is sent one after the other (multipart/byteranges). */
export type HttpBody = string | Body | readonly Body[]

/** An answer as the routes make it. An adapter adds nothing but what belongs to the connection and `Date`. */
export interface HttpResponse {
  readonly status: number
  /** Names and values in turns, Content-Length included; made to be handed on unchanged. */
  readonly headers: readonly string[]
  /** Absent for HEAD and for 204 and 304, whatever Content-Length says. */
  readonly body?: HttpBody
  /** Bytes of the body. */
  readonly length: number
  /** The reason in one word, for the record. */
  readonly code?: string
  /** What went wrong, for the record's reader only. */
  readonly cause?: unknown
  /** The client knows the end of this answer by the end of the connection. */
  readonly close?: boolean
  /** Called once after the last byte was handed to the connection, never when it was cut. What it returns must not reject. */
  readonly sent?: () => Promise<void>
}

/** An answer with a short text. `extra` comes after the type and the length. */
export function textResponse(status: number, type: string, text: string, extra?: readonly string[]): HttpResponse {
  const length = Buffer.byteLength(text)
  const headers = ['Content-Type', type, 'Content-Length', String(length)]
  if (extra !== undefined) headers.push(...extra)
  return { status, headers, body: text, length }
}

export const jsonType = 'application/json'
