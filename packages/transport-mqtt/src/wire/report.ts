import { type JsonObject, type Report, reportStates } from '@reflash/core'
import { described, encodeJson, invalid, list, numberOf, optionalText, parseJson, whole } from './json-message.ts'
import { readToken } from './token.ts'

const states: ReadonlySet<unknown> = new Set(reportStates)
const codeLimit = 64
/** hawkBit's own limits. */
const messageLimit = 50
const messageLengthLimit = 1024
export const sequenceLimit = 2_147_483_647

export interface ReportMessage {
  readonly re: number
  readonly token?: string
  readonly seq: number
  readonly report: Report
}

/**
 * `up/{id}/report`, answered by `down/{id}/answer` with nothing but `re`, however often the same is said. JSON; unknown members are ignored.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | re, token? | | as in a check-in |
 * | seq | 1..2147483647 | of the offer |
 * | state | `downloading`, `downloaded`, `installing`, `installed`, `confirmed`, `failed`, `rejected`, `canceled`, `cancel-refused`, `rolled-back` | |
 * | received? | whole number | bytes so far |
 * | code? | text, 1..64 | why, for machines |
 * | messages? | at most 50 texts of at most 1024 letters | for people |
 */
export function encodeReport({ re, token, seq, report }: ReportMessage): Uint8Array {
  const { state, received, code, messages } = report
  return encodeJson({ re, token, seq, state, received, code, messages })
}

/** @throws `INVALID_MESSAGE` */
export function decodeReport(payload: Uint8Array): ReportMessage {
  const message = parseJson(payload)
  const token = readToken(message)
  return {
    re: numberOf(message),
    ...(token === undefined ? {} : { token }),
    seq: whole(message, 'seq', 1, sequenceLimit),
    report: readReport(message),
  }
}

function readReport(message: JsonObject): Report {
  const { state, received } = message
  if (!states.has(state)) throw invalid('state', `one of ${[...states].join(', ')}`, described(state))
  const code = optionalText(message, 'code', codeLimit)
  return {
    state: state as Report['state'],
    ...(received === undefined ? {} : { received: whole(message, 'received', 0, Number.MAX_SAFE_INTEGER) }),
    ...(code === undefined ? {} : { code }),
    ...(message.messages === undefined ? {} : { messages: readMessages(list(message, 'messages', messageLimit)) }),
  }
}

function readMessages(messages: readonly unknown[]): readonly string[] {
  return messages.map((message) => {
    if (typeof message === 'string' && message.length <= messageLengthLimit) return message
    throw invalid('messages', `texts of at most ${messageLengthLimit} letters`, described(message))
  })
}
