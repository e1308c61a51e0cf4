import { memoryFleet } from '@reflash/core/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { followRollout, history } from './rollout-model.ts'

const times = Number(process.env.REFLASH_SOAK ?? 1)

test('10,000 random histories of a rollout go as a model of a few lines says', async () => {
  let steps = 0
  await fc.assert(
    fc.asyncProperty(history, async (taken) => {
      steps += taken.length
      await followRollout(taken, memoryFleet())
    }),
    { numRuns: 10_000 * times },
  )
  console.info(`${10_000 * times} histories, ${steps} steps`)
  expect(steps).toBeGreaterThan(100_000)
})
