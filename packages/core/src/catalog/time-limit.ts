import { aborted } from '../content/abort.ts'

export interface LimitedWork {
  /** Whose end ends the work. */
  readonly signal: AbortSignal
  readonly limitMs: number
  /** What is thrown when the time is over. */
  readonly late: () => Error
}

/**
 * Runs work with a signal that fires when `signal` does or the time is over, and comes back then even where the work does not heed it. No
 * timer and no listener stays behind, other than with AbortSignal.timeout and AbortSignal.any.
 * @throws `ABORTED`, what `late` makes, and what the work throws
 */
export function limited<T>(work: (signal: AbortSignal) => Promise<T>, { signal, limitMs, late }: LimitedWork): Promise<T> {
  if (signal.aborted) return Promise.reject(aborted(signal))
  const own = new AbortController()
  return new Promise((resolve, reject) => {
    const settle = (end: () => void): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
      end()
    }
    const leave = (): void => {
      own.abort(signal.reason)
      settle(() => reject(aborted(signal)))
    }
    const timer = setTimeout(() => {
      own.abort()
      settle(() => reject(late()))
    }, limitMs)
    signal.addEventListener('abort', leave, { once: true })
    const run = async (): Promise<T> => work(own.signal)
    run().then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    )
  })
}

/** The promise's value, or that of `late` after `waitMs`, or `ABORTED` with the caller; the work itself goes on. */
export function within<T>(promise: Promise<T>, waitMs: number, signal: AbortSignal, late: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (value: () => T): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', leave)
      try {
        resolve(value())
      } catch (error) {
        reject(error as Error)
      }
    }
    const leave = (): void =>
      settle(() => {
        throw aborted(signal)
      })
    const timer = setTimeout(() => settle(late), waitMs)
    signal.addEventListener('abort', leave, { once: true })
    promise.then(
      (value) => settle(() => value),
      (error: unknown) =>
        settle(() => {
          throw error
        }),
    )
  })
}
