import { AssertionError } from 'node:assert/strict'

/** Waits for `work`, but no longer than `milliseconds`: then it fails, and what comes of `work` later is nobody's concern. */
export async function within<T>(milliseconds: number, what: string, work: PromiseLike<T> | T): Promise<T> {
  const late = Promise.withResolvers<never>()
  const message = `${what}: expected an end within ${milliseconds} ms, found none`
  const timer = setTimeout(() => late.reject(new AssertionError({ message })), milliseconds)
  const settled = Promise.resolve(work)
  settled.catch(() => undefined)
  try {
    return await Promise.race([settled, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Lets everything that is ready to run do so, timers and I/O of this turn included. */
export async function nextTurn(turns = 1): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Waits until `condition` holds, at most `milliseconds`. */
export async function until(milliseconds: number, what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + milliseconds
  while (!condition()) {
    if (performance.now() > deadline)
      throw new AssertionError({ message: `${what}: expected within ${milliseconds} ms, found it never came true` })
    await new Promise<void>((resolve) => setTimeout(resolve, 1))
  }
}
