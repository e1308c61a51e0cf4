import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { killedWriter, numbersIn } from './children.ts'
import { followInSqlite } from './follow-in-sqlite.ts'
import { exerciseMutants, journalFile } from './mutants.ts'
import { temporaryFolder } from './temporary-folder.ts'

const times = Number(process.env.REFLASH_SOAK ?? '1')

describe('a journal in SQLite, at length', () => {
  it(`loses no acknowledged put in ${100 * times} lives of a writer that each end without warning`, async () => {
    for (let life = 0; life < 100 * times; life++) {
      const file = join(temporaryFolder(), 'journal.db')
      const acknowledged = await killedWriter(file, (life * 37) % 700)
      expect(await numbersIn(file)).toEqual(expect.arrayContaining(acknowledged))
    }
  })

  it(`answers with a coded error or an answer to ${5000 * times} mutants of its file`, async () => {
    const bytes = readFileSync(await journalFile())
    const codes = new Set<string>()
    for (let seed = 1; seed <= 5 * times; seed++) {
      for (const code of (await exerciseMutants(bytes, 1000, seed * 0x9e3779b)).keys()) codes.add(code)
    }
    // Unavailable: a header that asks for a later format of SQLite makes the file read-only.
    expect([...codes].sort()).toEqual(['JOURNAL_CORRUPT', 'JOURNAL_TOO_NEW', 'JOURNAL_UNAVAILABLE', 'NOT_A_JOURNAL'])
  })

  it(`does what the model says in ${1000 * times} histories`, async () => {
    await followInSqlite(1000 * times)
  })
})
