import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { limited, within } from '../../src/catalog/time-limit.ts'

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
const late = (): Error => new Error('late')
const forever = (): Promise<never> => new Promise(() => {})

describe('limited', () => {
  test('gives the value, and leaves neither timer nor listener behind', async () => {
    const { signal } = new AbortController()
    const before = timers()
    expect(await limited(async () => 5, { signal, limitMs: 60_000, late })).toBe(5)
    await expect(limited(() => Promise.reject(new TypeError('x')), { signal, limitMs: 60_000, late })).rejects.toThrow(TypeError)
    const sync = (): never => {
      throw new RangeError('at once')
    }
    await expect(limited(sync, { signal, limitMs: 60_000, late })).rejects.toThrow(RangeError)
    expect(timers()).toBe(before)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('comes back at the limit though the work does not heed its signal, which has fired', async () => {
    const { signal } = new AbortController()
    let given: AbortSignal | undefined
    const work = (own: AbortSignal): Promise<never> => {
      given = own
      return forever()
    }
    await expect(limited(work, { signal, limitMs: 1, late })).rejects.toThrow('late')
    expect(given?.aborted).toBe(true)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('ends with its caller, before and while it runs', async () => {
    const caller = new AbortController()
    const running = limited(forever, { signal: caller.signal, limitMs: 60_000, late })
    const before = timers()
    caller.abort()
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' })
    expect(timers()).toBe(before - 1)
    await expect(limited(async () => 5, { signal: caller.signal, limitMs: 1, late })).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('within', () => {
  test('leaves work to itself that takes too long, or whose caller has gone', async () => {
    const { signal } = new AbortController()
    expect(await within(forever(), 1, signal, () => 'known')).toBe('known')
    const { promise, reject } = Promise.withResolvers<string>()
    const caller = new AbortController()
    const gone = within(promise, 60_000, caller.signal, () => 'known')
    caller.abort()
    await expect(gone).rejects.toMatchObject({ code: 'ABORTED' })
    // Nobody waits for it any more: that must be no unhandled rejection.
    reject(new Error('afterwards'))
    await expect(within(Promise.reject(new Error('x')), 60_000, signal, () => 'known')).rejects.toThrow('x')
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(getEventListeners(caller.signal, 'abort')).toEqual([])
  })
})
