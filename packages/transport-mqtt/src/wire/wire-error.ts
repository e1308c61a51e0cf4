import { type Fault, isJsonObject, isOtaError, type JsonObject, type Reason } from '@reflash/core'
import { described, invalid, list, optionalText, text } from './json-message.ts'

const faults: readonly Fault[] = ['rejected', 'unavailable', 'invalid', 'unsupported', 'aborted', 'internal']
const codeLimit = 128
const textLimit = 2048
/** Letters of one reason among many: all of them fit into one message. */
const reasonTextLimit = 256
/** Reasons of one answer; an image has a dozen problems at most. */
const reasonLimit = 32

/** An error as the other side told it. */
export interface WireError {
  readonly code: string
  readonly fault: Fault
  readonly message: string
  readonly because: readonly Reason[]
}

/**
 * An error as a member of answers.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | code | text, 1..128 | stable |
 * | fault | `rejected`, `unavailable`, `invalid`, `unsupported`, `aborted`, `internal` | what to do about it |
 * | message? | text, 1..2048 | for people; of `unavailable` and `internal` none is told: it would name machines |
 * | because? | at most 32 of { code, message }, the message 256 letters | where there is more than one reason |
 */
export function encodeError(error: unknown): object {
  if (!isOtaError(error)) return { code: 'INTERNAL', fault: 'internal' }
  const { code, fault, message } = error
  if (fault === 'internal' || fault === 'unavailable' || fault === 'aborted') return { code, fault }
  const because = error.because.filter((reason) => reason.code !== code || reason.message !== message).slice(0, reasonLimit)
  return { code, fault, message: message.slice(0, textLimit), because: because.length === 0 ? undefined : because.map(shortened) }
}

function shortened({ code, message }: Reason): Reason {
  return { code: code.slice(0, codeLimit), message: message.slice(0, reasonTextLimit) }
}

/** @throws `INVALID_MESSAGE` */
export function readError(from: JsonObject): WireError {
  const fault = faults.find((candidate) => candidate === from.fault)
  if (fault === undefined) throw invalid('error.fault', `one of ${faults.join(', ')}`, described(from.fault))
  const code = text(from, 'code', codeLimit)
  const message = optionalText(from, 'message', textLimit) ?? ''
  return { code, fault, message, because: readReasons(from) }
}

/** The member `because` of answers: at most 32 of { code, message? }. @throws `INVALID_MESSAGE` */
export function readReasons(from: JsonObject): readonly Reason[] {
  if (from.because === undefined) return []
  return list(from, 'because', reasonLimit).map((reason) => {
    if (!isJsonObject(reason)) throw invalid('because', 'reasons', described(reason))
    return { code: text(reason, 'code', codeLimit), message: optionalText(reason, 'message', textLimit) ?? '' }
  })
}

/** The member `because` of answers. */
export function encodeReasons(because: readonly Reason[]): object | undefined {
  return because.length === 0 ? undefined : because.slice(0, reasonLimit).map(shortened)
}
