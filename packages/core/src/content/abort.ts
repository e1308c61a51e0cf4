import { fail } from '../core-errors.ts'

/** Goes on where nobody has cancelled. @throws `ABORTED` where the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal)
}

/** The error that stands for a fired signal; what the caller gave as reason is its cause. */
export function aborted(signal: AbortSignal): Error {
  return fail('ABORTED', 'the caller cancelled', { cause: signal.reason })
}
