import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JournalInstance, journalSuite } from '@reflash/core/conformance'
import { sqlStore } from '@reflash/store-sql'
import { describe, it } from 'vitest'

async function make(options: { readonly now: () => Date }): Promise<JournalInstance> {
  const folder = mkdtempSync(join(tmpdir(), 'sql-conformance-'))
  const opened = new Set<ReturnType<typeof sqlStore>>()
  const open = () => {
    const journal = sqlStore({ ...options, file: join(folder, 'journal.db'), synchronous: 'normal' })
    opened.add(journal)
    return journal
  }
  const plugin = open()
  return {
    plugin,
    again: async () => {
      await plugin.close?.()
      return open()
    },
    second: async () => open(),
    dispose: async () => {
      for (const journal of opened) await journal.close?.()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

describe('sqlStore', () => {
  journalSuite({ describe, it }, { make, factory: sqlStore, options: { file: join(tmpdir(), 'never-opened.db') } })
})
