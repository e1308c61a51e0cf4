import type { CheckInAnswer } from '@reflash/core'
import { encodeCheckInAnswer, type MqttAnswer, readCheckInAnswer } from './check-in-answer.ts'
import { encodeJson, numberOf, object, parseJson } from './json-message.ts'
import { encodeError, readError, type WireError } from './wire-error.ts'

/** What a server answers to one message of a device. */
export interface Answer {
  readonly re: number
  readonly checkIn?: MqttAnswer
  readonly error?: WireError
}

/**
 * `down/{id}/answer`. JSON; unknown members are ignored.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | re | 1..4294967295 | of the message that is answered |
 * | checkIn? | object | to a check-in: `wire/check-in-answer.ts` |
 * | error? | object | why not: `wire/wire-error.ts` |
 *
 * With neither, a report has arrived.
 */
export function encodeAnswer(re: number, answer?: { readonly checkIn: CheckInAnswer } | { readonly error: unknown }): Uint8Array {
  if (answer === undefined) return encodeJson({ re })
  return encodeJson('checkIn' in answer ? { re, checkIn: encodeCheckInAnswer(answer.checkIn) } : { re, error: encodeError(answer.error) })
}

/** @throws `INVALID_MESSAGE` */
export function decodeAnswer(payload: Uint8Array): Answer {
  const message = parseJson(payload)
  return {
    re: numberOf(message),
    ...(message.checkIn === undefined ? {} : { checkIn: readCheckInAnswer(object(message, 'checkIn')) }),
    ...(message.error === undefined ? {} : { error: readError(object(message, 'error')) }),
  }
}
