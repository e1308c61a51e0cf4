import type { Evidence } from '@reflash/core'
import { encodeState, readState, type SaidState } from './device-state.ts'
import { encodeEvidence, readEvidence } from './evidence.ts'
import { encodeJson, numberOf, object, parseJson } from './json-message.ts'
import { readToken } from './token.ts'

/** What a device says when it checks in. */
export interface CheckInMessage {
  readonly re: number
  readonly token?: string
  readonly state: SaidState
  readonly evidence?: Evidence
}

/**
 * `up/{id}/check-in`, answered by `down/{id}/answer` (`wire/check-in-answer.ts`). JSON; unknown members are ignored.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | re | 1..4294967295 | the answer repeats it; the same again where no answer came |
 * | token? | text, 1..1024 | who this is, where the broker does not say |
 * | model?, installed?, attributes? | | `wire/device-state.ts` |
 * | evidence? | object | `wire/evidence.ts` |
 */
export function encodeCheckIn({ re, token, state, evidence }: CheckInMessage): Uint8Array {
  return encodeJson({ re, token, ...encodeState(state), evidence: evidence && encodeEvidence(evidence) })
}

/** @throws `INVALID_MESSAGE` */
export function decodeCheckIn(payload: Uint8Array): CheckInMessage {
  const message = parseJson(payload)
  const token = readToken(message)
  return {
    re: numberOf(message),
    ...(token === undefined ? {} : { token }),
    state: readState(message),
    ...(message.evidence === undefined ? {} : { evidence: readEvidence(object(message, 'evidence')) }),
  }
}
