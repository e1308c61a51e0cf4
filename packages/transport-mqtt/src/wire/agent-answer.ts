import type { Evidence, JsonObject } from '@reflash/core'
import { chunkLimitBytes } from './chunk.ts'
import { encodeState, readState, type SaidState } from './device-state.ts'
import { encodeEvidence, readEvidence } from './evidence.ts'
import { base64, invalid, list, numberOf, object, sealJson, toBase64, unsealJson, whole } from './json-message.ts'
import { readToken } from './token.ts'
import { encodeError, readError, type WireError } from './wire-error.ts'

/** Bytes that may be under way to a device without having been acknowledged. */
export const windowLimitBytes = 1024 * 1024
/** Chunks in one bitmap of what is missing: an image of 256 MiB in chunks of 4 KiB. */
const missingLimit = 65_536

/** What an agent can take. */
export interface Hello {
  readonly chunkBytes: number
  /** Bytes that it can hold out of order. */
  readonly windowBytes: number
  readonly can: readonly ('missing' | 'evidence')[]
}

/** Which parts of an image an agent lacks. */
export interface Missing {
  /** Where the bitmap begins; all before is there. */
  readonly from: number
  readonly chunkBytes: number
  /** Bit `i`, from the least of byte 0 on: the chunk at `from` plus `i` chunks is missing, wholly or in part. */
  readonly bitmap: Uint8Array
}

/** What an agent has done, by what it was told to do. */
export interface AgentResult {
  readonly hello: Hello
  readonly begin: { readonly offset: number }
  readonly missing: Missing
  readonly activate: object
  readonly status: SaidState
  readonly evidence: Evidence
}

export type AgentReply = { readonly ok: object } | { readonly error: unknown }

export interface AgentAnswer {
  readonly re: number
  readonly token?: string
  /** By `readAgentResult`. */
  readonly ok?: JsonObject
  readonly error?: WireError
}

/**
 * `up/{id}/agent/{instance}`. Sealed JSON; unknown members are ignored.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | re | 1..4294967295 | of the command |
 * | token? | text, 1..1024 | who this is, where the broker does not say |
 * | error? | object | why not: `wire/wire-error.ts` |
 * | ok? | object | what was done, where there is no error |
 *
 * | ok of | members |
 * |---|---|
 * | hello | chunkBytes: 1..65536, windowBytes: 1..1048576, can: list of `missing`, `evidence` |
 * | begin | offset: how much of exactly this image is stored, bytes |
 * | missing | from: offset; chunkBytes: 1..1073741824; bitmap: base64, bit `i` set where the chunk at `from` plus `i` chunks is missing |
 * | activate | none |
 * | status | `wire/device-state.ts` |
 * | evidence | `wire/evidence.ts` |
 */
export function encodeAgentAnswer(re: number, token: string | undefined, reply: AgentReply): Uint8Array {
  return sealJson({ re, token, ...('ok' in reply ? { ok: reply.ok } : { error: encodeError(reply.error) }) })
}

/** What stands in `ok`. */
export const encodeAgentResult: { readonly [K in keyof AgentResult]: (result: AgentResult[K]) => object } = {
  hello: (hello) => hello,
  begin: ({ offset }) => ({ offset }),
  missing: ({ from, chunkBytes, bitmap }) => ({ from, chunkBytes, bitmap: toBase64(bitmap) }),
  activate: () => ({}),
  status: encodeState,
  evidence: encodeEvidence,
}

/** @throws `INVALID_MESSAGE`, `CHUNK_CORRUPT` */
export function decodeAgentAnswer(payload: Uint8Array): AgentAnswer {
  const message = unsealJson(payload)
  const token = readToken(message)
  const head = { re: numberOf(message), ...(token === undefined ? {} : { token }) }
  if (message.error !== undefined) return { ...head, error: readError(object(message, 'error')) }
  return { ...head, ok: object(message, 'ok') }
}

const readers: { readonly [K in keyof AgentResult]: (ok: JsonObject) => AgentResult[K] } = {
  hello: (ok) => ({
    chunkBytes: whole(ok, 'chunkBytes', 1, chunkLimitBytes),
    windowBytes: whole(ok, 'windowBytes', 1, windowLimitBytes),
    can: list(ok, 'can', 16).filter((power) => power === 'missing' || power === 'evidence'),
  }),
  begin: (ok) => ({ offset: whole(ok, 'offset', 0, 0xffff_ffff) }),
  missing: (ok) => ({
    from: whole(ok, 'from', 0, 0xffff_ffff),
    chunkBytes: whole(ok, 'chunkBytes', 1, 2 ** 30),
    bitmap: ok.bitmap === '' ? new Uint8Array() : base64(ok, 'bitmap', missingLimit / 8),
  }),
  activate: () => ({}),
  status: readState,
  evidence: readEvidence,
}

/** What an agent says that it has done. @throws `INVALID_MESSAGE` */
export function readAgentResult<K extends keyof AgentResult>(task: K, ok: JsonObject | undefined): AgentResult[K] {
  if (ok === undefined) throw invalid('ok', 'an object', 'nothing')
  return readers[task](ok)
}

/** The ranges that a bitmap says are missing of an image of `size` bytes. @throws `INVALID_MESSAGE` */
export function* missingRanges(
  { from, chunkBytes, bitmap }: Missing,
  size: number,
): Iterable<{ readonly offset: number; readonly length: number }> {
  if (from > size) throw invalid('from', `an offset of at most ${size}`, String(from))
  let open: number | undefined
  for (let index = 0; ; index++) {
    const offset = from + index * chunkBytes
    const end = offset >= size
    const isMissing = !end && ((bitmap[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
    if (isMissing) open ??= offset
    else if (open !== undefined) {
      yield { offset: open, length: Math.min(offset, size) - open }
      open = undefined
    }
    if (end || (open === undefined && index >> 3 >= bitmap.length)) return
  }
}

/** The bitmap of ranges that are missing: whole chunks, as small as a bitmap allows. */
export function missingBitmap(
  ranges: readonly { readonly offset: number; readonly length: number }[],
  size: number,
  chunkBytes: number,
): Missing {
  const from = ranges[0]?.offset ?? size
  let unit = chunkBytes
  while ((size - from) / unit > missingLimit) unit *= 2
  const bitmap = new Uint8Array(Math.ceil(Math.ceil((size - from) / unit) / 8))
  for (const { offset, length } of ranges) {
    for (let index = Math.floor((offset - from) / unit); from + index * unit < offset + length; index++) {
      bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (1 << (index & 7))
    }
  }
  return { from, chunkBytes: unit, bitmap }
}
