import { type JsonObject, type Report, reportStates } from '@reflash/core'
import type { HttpRequest, HttpResponse } from '../../http-message.ts'
import { described, invalid, jsonBody, textMember } from '../../json-body.ts'
import { deviceIdOf, sequenceOf } from '../../names.ts'
import type { DialectContext } from '../dialect.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const states: ReadonlySet<unknown> = new Set(reportStates)
const codeLimit = 64
/** hawkBit's own limit, so that both protocols carry the same. */
const messageLimit = 50
const messageLengthLimit = 1024

const noContent: HttpResponse = Object.freeze({ status: 204, headers: Object.freeze([]), length: 0 })

/**
 * `POST /v1/devices/{id}/offers/{seq}/report` -> 204, however often the same is said.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | state | `downloading`, `downloaded`, `installing`, `installed`, `confirmed`, `failed`, `rejected`, `canceled`, `cancel-refused`, `rolled-back` | |
 * | received? | whole number | bytes so far |
 * | code? | text, 1..64 | why, for machines |
 * | messages? | at most 50 texts of at most 1024 letters | for people |
 *
 * Unknown members are ignored.
 */
export async function report(context: DialectContext, request: HttpRequest, params: readonly string[]): Promise<HttpResponse> {
  const id = deviceIdOf(params[0])
  const seq = sequenceOf(params[1])
  const who = await context.admit(request, id)
  const said = readReport(await jsonBody(request, context.limits.reportBytes))
  await context.gateway.report(who, seq, said, { signal: request.signal })
  return noContent
}

/** @throws `INVALID_BODY` */
export function readReport(body: JsonObject): Report {
  const { state, received, messages } = body
  if (!states.has(state)) throw invalid('state', `one of ${[...states].join(', ')}`, described(state))
  const said: Mutable<Report> = { state: state as Report['state'] }
  if (received !== undefined) {
    if (!Number.isSafeInteger(received) || (received as number) < 0) throw invalid('received', 'a number of bytes', described(received))
    said.received = received as number
  }
  const code = textMember(body, 'code', codeLimit)
  if (code !== undefined) said.code = code
  if (messages !== undefined) said.messages = readMessages(messages)
  return said
}

function readMessages(messages: unknown): readonly string[] {
  if (!Array.isArray(messages) || messages.length > messageLimit) {
    throw invalid('messages', `a list of at most ${messageLimit} texts`, described(messages))
  }
  for (const message of messages) {
    if (typeof message !== 'string' || message.length > messageLengthLimit) {
      throw invalid('messages', `texts of at most ${messageLengthLimit} letters`, described(message))
    }
  }
  return messages
}
