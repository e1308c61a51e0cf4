import { type Fault, isOtaError, type OtaError, type Reason } from '@reflash/core'
import { type HttpResponse, jsonType, textResponse } from './http-message.ts'

/** An error as the wire shows it. */
export interface Refusal {
  readonly status: number
  readonly code: string
  /** For people; empty words where the reason is our own affair. */
  readonly message: string
  readonly because: readonly Reason[]
  /** Retry-After, Allow, WWW-Authenticate, Connection. */
  readonly headers: readonly string[]
}

const byFault: Readonly<Record<Fault, number>> = {
  rejected: 403,
  unavailable: 503,
  invalid: 400,
  unsupported: 501,
  // Whoever still hears it has not left: the server is ending, and the next one may answer.
  aborted: 503,
  internal: 500,
}

const byCode: Readonly<Record<string, number>> = {
  // The client has gone: nginx's number for it, seen in the record only.
  REQUEST_CUT: 499,
  UNKNOWN_PATH: 404,
  METHOD_NOT_ALLOWED: 405,
  BODY_TOO_LARGE: 413,
  TOO_LARGE: 413,
  UNSUPPORTED_CONTENT: 415,
  NOT_AUTHENTICATED: 401,
  NOT_YOUR_DEVICE: 403,
}

/** What a device waits before it asks a server again that cannot serve; short beside a poll, long beside a restart. */
const retryAfterSeconds = 30

/**
 * Maps an error to the wire. Status: `rejected` 403 (401 where nobody authenticated), `unavailable` 503 with Retry-After, `invalid` 400 (404 for
 * what does not exist, 405, 413, 415), `unsupported` 501, `aborted` 503 as `unavailable` (499 in the record of a client that has gone),
 * `internal` 500. Of the last three only the code is told: their messages name machines that are none of a stranger's business.
 */
export function refusalOf(error: unknown): Refusal {
  if (!isOtaError(error)) return { status: 500, code: 'INTERNAL', message: 'internal error', because: [], headers: [] }
  const { code, fault } = error
  const status = byCode[code] ?? (fault === 'invalid' && isMissing(code) ? 404 : byFault[fault])
  if (fault === 'internal') return { status, code, message: 'internal error', because: [], headers: [] }
  if (fault === 'unavailable' || fault === 'aborted') {
    return { status, code, message: 'try again later', because: [], headers: ['Retry-After', String(retryAfterSeconds)] }
  }
  const because = error.because.filter((reason) => reason.code !== code || reason.message !== error.message)
  return { status, code, message: error.message, because, headers: headersFor(code, error.details.allow) }
}

function headersFor(code: string, allow: unknown): readonly string[] {
  // RFC 9110, 15.5.2 and 15.5.6.
  if (code === 'NOT_AUTHENTICATED') return ['WWW-Authenticate', 'Bearer realm="reflash"']
  if (code === 'METHOD_NOT_ALLOWED') return ['Allow', String(allow)]
  return []
}

/** Whether an error says that there is no such thing. */
export function isNotFound(error: unknown): error is OtaError {
  return isOtaError(error) && refusalOf(error).status === 404
}

function isMissing(code: string): boolean {
  return code.endsWith('NOT_FOUND') || code.startsWith('UNKNOWN_') || code.startsWith('NO_')
}

/** `{"code", "message", "because"?}`: the shape of every reason here, and half the size of a problem document (RFC 9457) for a device to parse. */
export function refuseAsJson(error: unknown): HttpResponse {
  const { status, code, message, because, headers } = refusalOf(error)
  const text = JSON.stringify({ code, message, ...(because.length === 0 ? {} : { because }) })
  return { ...textResponse(status, jsonType, text, headers), code, cause: error }
}
