import type { FleetStore } from '@reflash/core'
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

  test('show it where a store loses an end, counts a wave wrong, or gives no place', async () => {
    const wrong: readonly Partial<FleetStore>[] = [
      { settle: async () => false },
      { cohort: async () => ({ members: 8, size: 8, bound: 2 ** 32 - 1 }) },
      { claim: async () => ({ is: 'full' }) },
    ]
    for (const change of wrong) {
      // One history each: what it leaves in the store would be found by the next.
      const { failed } = await fc.check(
        fc.asyncProperty(history, (steps) => followRollout(steps, { ...memoryFleet(), ...change })),
        { numRuns: 50, endOnFailure: true },
      )
      expect(failed).toBe(true)
    }
  })
})
