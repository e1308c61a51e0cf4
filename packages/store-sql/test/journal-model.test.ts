import { manualClock, memoryJournal } from '@reflash/core/testing'
import fc from 'fast-check'
import { describe, it } from 'vitest'
import { followInSqlite } from './follow-in-sqlite.ts'
import { follow, journalSteps } from './journal-model.ts'

describe('every journal does what the model says', () => {
  it('in memory', async () => {
    await fc.assert(
      fc.asyncProperty(journalSteps, async (steps) => {
        const clock = manualClock()
        const journal = memoryJournal({ now: clock.now })
        await follow(steps, journal, clock, async () => journal)
      }),
      { numRuns: 100 },
    )
  })

  it('in SQLite, also across restarts', async () => {
    await followInSqlite(60)
  })
})
