import type { Seen } from './http-message.ts'

/** What happened to one request, ready for JSON. */
export interface RequestRecord {
  readonly method: string
  /** The route's name; `none` where no route has the path, `malformed` where it was no request at all. Never a raw path. */
  readonly route: string
  readonly status: number
  readonly durationMs: number
  /** Bytes of the body that were handed to the connection. */
  readonly bytes: number
  /** The device that the request spoke of; its id is well-formed, and authentic unless the status is 401 or 403. */
  readonly deviceId?: string
  /** Why, in one word. */
  readonly code?: string
  /** The client went away, or was too slow, before the last byte. */
  readonly cut?: true
}

/** `cause` is what was thrown, where something was: for error trackers; its message may name machines. */
export type OnRequest = (record: RequestRecord, cause?: unknown) => void

/** The route of what was no request. */
export const malformed = {
  name: 'malformed',
  method: 'GET',
  path: '',
  answer: () => ({ status: 400, headers: [], length: 0 }),
  refuse: () => ({ status: 400, headers: [], length: 0 }),
} as const

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])

interface Outcome {
  readonly status: number
  readonly durationMs: number
  readonly bytes: number
  readonly code: string | undefined
  readonly cut: boolean
}

/** Makes the record and hands it over. */
export function recordRequest(onRequest: OnRequest, method: string, seen: Seen, outcome: Outcome, cause?: unknown): void {
  const { status, durationMs, bytes, code, cut } = outcome
  const record: RequestRecord = {
    // A label for counters: a stranger must not be able to make new ones.
    method: methods.has(method) ? method : 'OTHER',
    route: seen.route?.name ?? 'none',
    status,
    durationMs: Math.round(durationMs * 1000) / 1000,
    bytes,
    ...(seen.deviceId === undefined ? {} : { deviceId: seen.deviceId }),
    ...(code === undefined ? {} : { code }),
    ...(cut ? { cut } : {}),
  }
  try {
    onRequest(record, cause)
  } catch (error) {
    // A logger that fails must not take the updates of a fleet with it.
    process.emitWarning(error instanceof Error ? error : String(error))
  }
}
