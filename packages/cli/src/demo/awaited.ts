import { fail } from '../cli-errors.ts'

/** Things that happen, and those who wait for one of them. */
export interface Happenings<T> {
  happened(what: T): void
  /**
   * The first that `is` accepts, from now on.
   * @throws `DEMO_FAILED` after `withinMs`, or with what `spoils` says of one that must not happen; the signal's reason
   */
  next(what: string, is: (happened: T) => boolean, spoils?: (happened: T) => string | undefined): Promise<T>
  /** Ends all waiting. */
  fail(error: unknown): void
}

/** Far more than any step takes, on a machine that is busy with something else. */
const withinMs = 60_000

export function happenings<T>(signal: AbortSignal): Happenings<T> {
  const waiting = new Set<{ look(what: T): void; fail(error: unknown): void }>()
  return {
    happened: (what) => {
      for (const waiter of [...waiting]) waiter.look(what)
    },
    fail: (error) => {
      for (const waiter of [...waiting]) waiter.fail(error)
    },
    next: (what, is, spoils = () => undefined) =>
      new Promise<T>((resolve, reject) => {
        const end = (settle: () => void): void => {
          clearTimeout(timer)
          signal.removeEventListener('abort', onAbort)
          waiting.delete(waiter)
          settle()
        }
        const failed = (error: unknown): void => end(() => reject(error))
        const onAbort = (): void => failed(signal.reason)
        const timer = setTimeout(
          () => failed(fail('DEMO_FAILED', `expected ${what} within ${withinMs / 1000} s, found nothing of it`)),
          withinMs,
        )
        const waiter = {
          fail: failed,
          look: (happened: T) => {
            const spoilt = spoils(happened)
            if (spoilt !== undefined) failed(fail('DEMO_FAILED', `expected ${what}, found ${spoilt}`))
            else if (is(happened)) end(() => resolve(happened))
          },
        }
        waiting.add(waiter)
        if (signal.aborted) onAbort()
        else signal.addEventListener('abort', onAbort, { once: true })
      }),
  }
}
