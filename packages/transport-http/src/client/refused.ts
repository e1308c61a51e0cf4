import { aborted, collect, isJsonObject, isOtaError, type Json } from '@reflash/core'
import { fail } from '../http-errors.ts'
import { parseObject } from '../json-body.ts'
import type { Answer } from './http-caller.ts'

/** Bytes of an error's body that are read. */
const errorLimitBytes = 8 * 1024
/** Seconds; a server that asks for longer is asked at the next poll anyway. */
const longestRetryAfter = 3600

/** What an answer that is no success means for the device. The body is read or closed. */
export async function refused(answer: Answer): Promise<Error> {
  const { status } = answer
  const details: Record<string, Json> = { status, ...(await remoteReason(answer)) }
  const seconds = Number(answer.header('retry-after'))
  if (seconds > 0) details.retryAfterMs = Math.min(seconds, longestRetryAfter) * 1000
  const found = `found ${status}${typeof details.remoteCode === 'string' ? ` ${details.remoteCode}` : ''}`
  if (status === 401 || status === 403) return fail('SERVER_REFUSED', `expected to be let in, ${found}`, { details })
  if (status === 408 || status === 429 || (status >= 500 && status !== 501)) {
    return fail('SERVER_BUSY', `expected an answer, ${found}`, { details })
  }
  if (status >= 400) return fail('REQUEST_REFUSED', `expected the server to take the request, ${found}`, { details })
  return fail('INVALID_ANSWER', `expected success or an error, ${found}${status >= 300 ? '; redirects are not followed' : ''}`, { details })
}

async function remoteReason(answer: Answer): Promise<Record<string, Json>> {
  try {
    const body = parseObject(await collect(answer.body, errorLimitBytes))
    if (!isJsonObject(body) || typeof body.code !== 'string') return {}
    const message = typeof body.message === 'string' ? { remoteMessage: oneLine(body.message, 500) } : {}
    return { remoteCode: oneLine(body.code, 100), ...message }
  } catch {
    // A proxy's page, or a connection that broke: the status says enough.
    return {}
  }
}

/** What a server says may end up in a log or on a terminal: it must not write lines or move the cursor there. */
function oneLine(text: string, limit: number): string {
  return text.slice(0, limit).replace(/\p{Cc}/gu, '\ufffd')
}

/** What the network threw on the way to a server, as an error of ours. */
export function unreachable(error: unknown, server: string, signal: AbortSignal | undefined): Error {
  if (isOtaError(error)) return error
  if (signal?.aborted) return aborted(signal)
  const found = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : 'an error'
  return fail('SERVER_UNREACHABLE', `expected an answer of ${server}, found ${found}`, { cause: error })
}
