import type { ByteStream } from '@reflash/core'

/** One request of the client. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal?: AbortSignal | undefined
}

/** Its answer; the body must be read or closed. */
export interface Answer {
  readonly status: number
  header(name: string): string | undefined
  readonly body: ByteStream
}

/** Sends one request. Throws whatever its network throws. */
export interface HttpCaller {
  send(call: Call): Promise<Answer>
  close(): void
}
