import { type Deployment, noCounters, reconcile } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const now = new Date('2030-01-01T01:00:00.000Z')

const deployment = (change: Partial<Deployment> = {}): Deployment => ({
  id: 'roll',
  number: 1,
  at: '2030-01-01T00:00:00.000Z',
  release: { id: 'r:1.1.0', repository: 'r', version: '1.1.0' },
  selector: {},
  waves: [10, 100],
  successPercent: 90,
  failurePercent: 10,
  waveMs: 0,
  proof: false,
  state: 'running',
  wave: 1,
  size: 10,
  bound: 99,
  waveAt: '2030-01-01T00:30:00.000Z',
  forgiven: 0,
  because: [],
  counters: noCounters,
  version: '1',
  ...change,
})

const counted = (counters: Partial<Deployment['counters']>, change: Partial<Deployment> = {}) =>
  reconcile(deployment({ ...change, counters: { ...noCounters, ...counters } }), now)

describe('reconcile', () => {
  test('starts the first wave', () => {
    expect(reconcile(deployment({ wave: 0, size: 0, bound: -1 }), now)).toMatchObject({ do: 'start', percent: 10 })
  })

  test('starts the next wave when enough are confirmed, and one confirmation earlier holds', () => {
    expect(counted({ confirmed: 9, offered: 1 })).toMatchObject({ do: 'start', percent: 100, because: [{ code: 'WAVE_SUCCEEDED' }] })
    expect(counted({ confirmed: 8, offered: 2 })).toMatchObject({ do: 'hold', because: [{ code: 'WAVE_OPEN' }] })
  })

  test('takes neither what was offered, nor what never reported, nor what ran it before, for a success', () => {
    expect(counted({ confirmed: 8, unobserved: 2 })).toMatchObject({ do: 'hold' })
    expect(counted({ confirmed: 8, withdrawn: 2 })).toMatchObject({ do: 'hold' })
    expect(counted({ confirmed: 7, skipped: 2 })).toMatchObject({ do: 'hold' })
    expect(counted({ confirmed: 8, skipped: 2 })).toMatchObject({ do: 'start' })
  })

  test('pauses at the failure that reaches the threshold, also where enough succeeded for the next wave', () => {
    expect(counted({ confirmed: 9, failed: 1 })).toMatchObject({ do: 'pause', because: [{ code: 'TOO_MANY_FAILURES' }] })
    expect(counted({ confirmed: 9, failed: 1 }, { failurePercent: 11 })).toMatchObject({ do: 'start' })
    expect(counted({ failed: 2 }, { failurePercent: 11 })).toMatchObject({ do: 'pause' })
    expect(counted({ failed: 1 }, { wave: 2, size: 10 })).toMatchObject({ do: 'pause' })
  })

  test('is not paused again by failures that were looked at', () => {
    expect(counted({ failed: 3 }, { forgiven: 3 })).toMatchObject({ do: 'hold' })
    expect(counted({ failed: 4 }, { forgiven: 3 })).toMatchObject({ do: 'pause' })
  })

  test('keeps a wave open for its time, also where the clock was set back', () => {
    const succeeded = { confirmed: 10 }
    expect(counted(succeeded, { waveMs: 30 * 60_000 })).toMatchObject({ do: 'start' })
    expect(counted(succeeded, { waveMs: 30 * 60_000 + 1 })).toMatchObject({ do: 'hold' })
    expect(counted(succeeded, { waveAt: '2031-01-01T00:00:00.000Z' })).toMatchObject({ do: 'hold' })
  })

  test('stops when every device of the last wave has ended, and not while one may still end', () => {
    const last = { wave: 2, size: 10, failurePercent: 100 }
    expect(counted({ confirmed: 5, failed: 2, unobserved: 2, skipped: 1 }, last)).toMatchObject({ do: 'stop' })
    expect(counted({ confirmed: 9, offered: 1 }, last)).toMatchObject({ do: 'hold' })
    expect(counted({ confirmed: 9, withdrawn: 1 }, last)).toMatchObject({ do: 'hold' })
    expect(counted({ confirmed: 9 }, last)).toMatchObject({ do: 'hold' })
  })

  test('does not wait for places that were left, but for one success where nobody else is there', () => {
    const left = (counters: Partial<Deployment['counters']>, places: number, change: Partial<Deployment> = {}) =>
      reconcile(deployment({ ...change, counters: { ...noCounters, ...counters } }), now, places)
    expect(left({ confirmed: 7 }, 2)).toMatchObject({ do: 'hold' })
    expect(left({ confirmed: 8 }, 2)).toMatchObject({ do: 'start', because: [{ code: 'WAVE_SUCCEEDED' }] })
    expect(left({}, 10)).toMatchObject({ do: 'hold', because: [{ message: '0 of 1 needed devices are confirmed' }] })
    expect(left({ skipped: 8 }, 2)).toMatchObject({ do: 'start' })
    const last = { wave: 2, failurePercent: 100 }
    expect(left({ confirmed: 7, failed: 1 }, 2, last)).toMatchObject({ do: 'stop', because: [{ code: 'ALL_ENDED' }] })
    expect(left({ confirmed: 7, offered: 1 }, 2, last)).toMatchObject({ do: 'hold' })
    expect(left({ confirmed: 7, withdrawn: 1 }, 2, last)).toMatchObject({ do: 'hold' })
    expect(left({ confirmed: 8, withdrawn: 1 }, 2, last)).toMatchObject({ do: 'stop' })
  })

  test('holds whatever does not run', () => {
    for (const state of ['paused', 'aborted', 'finished'] as const)
      expect(counted({ confirmed: 10 }, { state })).toMatchObject({ do: 'hold', because: [{ code: `DEPLOYMENT_${state.toUpperCase()}` }] })
  })

  test('always says why, never starts a wave after failures, and another failure never starts anything', () => {
    const count = fc.nat(12)
    const counters = fc.record({ offered: count, confirmed: count, failed: count, unobserved: count, skipped: count, withdrawn: count })
    const percent = fc.integer({ min: 1, max: 100 })
    fc.assert(
      fc.property(
        counters,
        fc.nat(2),
        fc.nat(60),
        percent,
        percent,
        fc.nat(12),
        (counters, wave, size, successPercent, failurePercent, forgiven) => {
          const one = deployment({ counters, wave, size, successPercent, failurePercent, forgiven })
          const step = reconcile(one, now)
          expect(step.because.length).toBeGreaterThan(0)
          const fewer = Math.max(1, Math.ceil((size * failurePercent) / 100))
          expect(step.do === 'pause').toBe(counters.failed - forgiven >= fewer)
          const worse = reconcile({ ...one, counters: { ...counters, failed: counters.failed + 1 } }, now)
          if (step.do !== 'start') expect(worse.do).not.toBe('start')
        },
      ),
    )
  })
})
