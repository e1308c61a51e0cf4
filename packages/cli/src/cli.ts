import type { Output, TextSink } from './output.ts'

/** The keyboard, or what is piped in. */
export type TextSource = AsyncIterable<Uint8Array | string> & {
  readonly isTTY?: boolean
  setRawMode?(raw: boolean): unknown
  on(event: 'data', listener: (chunk: Uint8Array | string) => void): unknown
  off(event: 'data', listener: (chunk: Uint8Array | string) => void): unknown
  resume(): unknown
  pause(): unknown
}

/** What every command gets: the process it runs in, as plain parts. */
export interface Cli {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: TextSource
  readonly stderr: TextSink & { readonly isTTY?: boolean }
  readonly output: Output
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal
  now(): Date
}
