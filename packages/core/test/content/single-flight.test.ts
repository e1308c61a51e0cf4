import { describe, expect, it, vi } from 'vitest'
import { singleFlight } from '../../src/content/single-flight.ts'

function caller() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort(), progress: vi.fn() }
}

function work() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const start = vi.fn((_signal: AbortSignal, _progress: (done: number, total: number) => void) => promise)
  return { start, resolve, reject, signal: () => start.mock.calls[0]?.[0] as AbortSignal }
}

describe('singleFlight', () => {
  it('runs the work of one key once for all who wait, and again afterwards', async () => {
    const share = singleFlight<string>()
    const first = work()
    const second = work()
    const results = [share('k', caller(), first.start), share('k', caller(), second.start), share('other', caller(), async () => 'b')]
    first.resolve('a')
    expect(await Promise.all(results)).toEqual(['a', 'a', 'b'])
    expect(second.start).not.toHaveBeenCalled()
    second.resolve('c')
    expect(await share('k', caller(), second.start)).toBe('c')
  })

  it('lets the first caller go at once and finishes for the second', async () => {
    const share = singleFlight<string>()
    const shared = work()
    const [one, two] = [caller(), caller()]
    const first = share('k', one, shared.start)
    const second = share('k', two, shared.start)
    one.abort()
    await expect(first).rejects.toMatchObject({ code: 'ABORTED' })
    expect(shared.signal().aborted).toBe(false)
    shared.resolve('a')
    expect(await second).toBe('a')
  })

  it('aborts the work when the last caller has left, and starts anew for whoever comes then', async () => {
    const share = singleFlight<string>()
    const [left, fresh] = [work(), work()]
    const [one, two] = [caller(), caller()]
    const results = [share('k', one, left.start), share('k', two, left.start)]
    one.abort()
    two.abort()
    expect((await Promise.allSettled(results)).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(left.signal().aborted).toBe(true)
    const third = share('k', caller(), fresh.start)
    // The old work ends late; it must not take the new one's place away.
    left.reject(new Error('aborted'))
    const fourth = share('k', caller(), left.start)
    fresh.resolve('b')
    expect(await Promise.all([third, fourth])).toEqual(['b', 'b'])
    expect(left.start).toHaveBeenCalledTimes(1)
  })

  it('fails all who wait when the work fails, and forgets it', async () => {
    const share = singleFlight<string>()
    const broken = new Error('no')
    const results = await Promise.allSettled([1, 2].map(() => share('k', caller(), () => Promise.reject(broken))))
    expect(results).toEqual([1, 2].map(() => ({ status: 'rejected', reason: broken })))
    expect(await share('k', caller(), async () => 'a')).toBe('a')
  })

  it('refuses a caller whose signal has fired, without starting', async () => {
    const { start } = work()
    await expect(singleFlight<string>()('k', { signal: AbortSignal.abort() }, start)).rejects.toMatchObject({ code: 'ABORTED' })
    expect(start).not.toHaveBeenCalled()
  })

  it('tells progress to all who wait; one whose callback throws fails alone', async () => {
    const share = singleFlight<string>()
    const shared = work()
    const [good, bad] = [caller(), caller()]
    bad.progress.mockImplementation(() => {
      throw new TypeError('mine')
    })
    const results = [share('k', bad, shared.start), share('k', good, shared.start)]
    shared.start.mock.calls[0]?.[1](1, 2)
    shared.start.mock.calls[0]?.[1](2, 2)
    shared.resolve('a')
    await expect(results[0]).rejects.toThrow('mine')
    expect(await results[1]).toBe('a')
    expect(good.progress.mock.calls).toEqual([
      [1, 2],
      [2, 2],
    ])
    expect(bad.progress).toHaveBeenCalledTimes(1)

    const alone = work()
    const result = share('k', bad, alone.start)
    alone.start.mock.calls[0]?.[1](1, 2)
    await expect(result).rejects.toThrow('mine')
    expect(alone.signal().aborted).toBe(true)
  })
})
