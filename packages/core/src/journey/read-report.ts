import { fail } from '../core-errors.ts'
import { type Report, reportStates } from '../update/observation.ts'
import { quoted } from '../update/quoted.ts'

/** Characters of a code or a message. */
const textLength = 1024
/** Messages of one report; hawkBit takes 50. */
const messageLimit = 50
/** Characters of all messages that are kept: enough to see what a device complained about. */
const keptLength = 2048

const states: ReadonlySet<string> = new Set(reportStates)

/**
 * Copies a device's report, its messages cut where they go on for too long.
 * @throws `INVALID_REPORT`
 */
export function readReport(report: Report): Report {
  const { state, received, code, messages } = (report ?? {}) as Partial<Report>
  if (typeof state !== 'string' || !states.has(state)) throw invalid(`state to be one of ${[...states].join(', ')}; found ${quoted(state)}`)
  if (received !== undefined && !(Number.isSafeInteger(received) && received >= 0)) throw invalid('received to be a number of bytes')
  if (code !== undefined && !isText(code)) throw invalid(`code to be text of at most ${textLength} characters`)
  if (messages !== undefined && !(Array.isArray(messages) && messages.length <= messageLimit && messages.every(isText))) {
    throw invalid(`messages to be at most ${messageLimit} texts of at most ${textLength} characters`)
  }
  return Object.freeze({
    state,
    ...(received === undefined ? {} : { received }),
    ...(code === undefined ? {} : { code }),
    ...(messages === undefined ? {} : { messages: Object.freeze(kept(messages)) }),
  })
}

function kept(messages: readonly string[]): readonly string[] {
  let left = keptLength
  return messages.flatMap((text) => {
    const part = text.slice(0, left)
    left -= part.length
    return part === '' ? [] : [part]
  })
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= textLength
}

function invalid(what: string): Error {
  return fail('INVALID_REPORT', `expected ${what}`)
}
