import { memoryFleet } from '@reflash/core/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { followRollout, history } from './rollout-model.ts'

describe('random histories of a rollout', () => {
  test('go as a model of a few lines says', async () => {
    await fc.assert(
      fc.asyncProperty(history, (steps) => followRollout(steps, memoryFleet())),
      { numRuns: 300 },
    )
  })

  test('show it where a store loses an end, takes a place too many, or forgets who was offered', async () => {
    const wrong = [
      { ...memoryFleet(), settle: async () => false },
      { ...memoryFleet(), cohort: async () => ({ members: 8, size: 8, bound: 2 ** 32 - 1 }) },
      { ...memoryFleet(), update: async () => undefined, claim: async () => ({ is: 'full' as const }) },
    ]
    for (const fleet of wrong) {
      // One history each: what it leaves in the store would be found by the next.
      const { failed } = await fc.check(
        fc.asyncProperty(history, (steps) => followRollout(steps, fleet)),
        { numRuns: 50, endOnFailure: true },
      )
      expect(failed).toBe(true)
    }
  })
})
