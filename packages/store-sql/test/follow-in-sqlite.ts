import { join } from 'node:path'
import { manualClock } from '@reflash/core/testing'
import { sqlStore } from '@reflash/store-sql'
import fc from 'fast-check'
import { follow, journalSteps } from './journal-model.ts'
import { temporaryFolder } from './temporary-folder.ts'

/** Follows the model through that many histories, each in a file of its own that is closed and opened again within the history. */
export async function followInSqlite(histories: number): Promise<void> {
  const folder = temporaryFolder()
  let files = 0
  await fc.assert(
    fc.asyncProperty(journalSteps, async (steps) => {
      const clock = manualClock()
      const file = join(folder, `${files++}.db`)
      const open = () => sqlStore({ file, now: clock.now, synchronous: 'normal' })
      let journal = open()
      const restart = async () => {
        await journal.close?.()
        journal = open()
        return journal
      }
      await follow(steps, journal, clock, restart)
      await journal.close?.()
    }),
    { numRuns: histories },
  )
}
