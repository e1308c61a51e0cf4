import { journalSuite } from '@reflash/core/conformance'
import { memoryJournal } from '@reflash/core/testing'
import { describe, it } from 'vitest'

const nothing = async (): Promise<void> => {}

describe('memoryJournal', () => {
  journalSuite(
    { describe, it },
    {
      make: async ({ now }) => ({ plugin: memoryJournal({ now }), dispose: nothing }),
      factory: memoryJournal,
      options: { now: () => new Date() },
    },
  )
})
