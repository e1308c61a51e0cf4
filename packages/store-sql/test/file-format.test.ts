import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isOtaError } from '@reflash/core'
import { sqlStore } from '@reflash/store-sql'
import { describe, expect, it, onTestFinished } from 'vitest'
import { temporaryFolder } from './temporary-folder.ts'

const { DatabaseSync } = process.getBuiltinModule('node:sqlite')

function sql(file: string, statements: string): void {
  const database = new DatabaseSync(file)
  database.exec(statements)
  database.close()
}

async function journalFile(entries = 50): Promise<string> {
  const file = join(temporaryFolder(), 'journal.db')
  const journal = sqlStore({ file })
  await Promise.all(
    Array.from({ length: entries }, (_, index) => journal.put(`k/${index}`, { text: 'x'.repeat(index * 7) }, { ifVersion: null })),
  )
  await journal.close?.()
  return file
}

async function attempt(file: string): Promise<unknown> {
  const journal = sqlStore({ file })
  onTestFinished(() => journal.close?.())
  return await journal.put('probe', 1, { ifVersion: null })
}

/** Everything that the journal offers, on a file that may be anything. */
async function exercise(file: string): Promise<void> {
  const journal = sqlStore({ file, synchronous: 'normal' })
  try {
    for await (const key of journal.list('')) await journal.get(key)
    const entry = await journal.get('k/7')
    await journal.put('k/7', 1, { ifVersion: entry?.version ?? null })
    const other = await journal.get('k/9')
    if (other !== undefined) await journal.delete('k/9', { ifVersion: other.version })
  } finally {
    await journal.close?.()
  }
}

describe('the file of a journal', () => {
  it('is refused, untouched, where a newer version has written it', async () => {
    const file = await journalFile()
    sql(file, 'PRAGMA user_version = 99')
    const before = readFileSync(file)
    await expect(attempt(file)).rejects.toMatchObject({ code: 'JOURNAL_TOO_NEW', fault: 'unsupported', details: { known: 1, found: 99 } })
    expect(readFileSync(file).equals(before)).toBe(true)
  })

  it('is refused, untouched, where it is a database of another program', async () => {
    const file = join(temporaryFolder(), 'other.db')
    sql(file, 'CREATE TABLE entry (key TEXT); INSERT INTO entry VALUES (1)')
    const before = readFileSync(file)
    await expect(attempt(file)).rejects.toMatchObject({ code: 'NOT_A_JOURNAL', fault: 'invalid' })
    expect(readFileSync(file).equals(before)).toBe(true)
  })

  it('is refused, untouched, where it is no database', async () => {
    const file = join(temporaryFolder(), 'notes.txt')
    writeFileSync(file, 'remember the milk\n'.repeat(100))
    const before = readFileSync(file)
    await expect(attempt(file)).rejects.toMatchObject({ code: 'NOT_A_JOURNAL', fault: 'invalid' })
    expect(readFileSync(file).equals(before)).toBe(true)
  })

  it('is unavailable where a folder has its name, and usable once that is gone', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    mkdirSync(file)
    await expect(attempt(file)).rejects.toMatchObject({ code: 'JOURNAL_UNAVAILABLE', fault: 'unavailable' })
    await expect(attempt(join(file, 'deeper', 'journal.db'))).resolves.toBe('1')
  })

  it('is made anew where it is empty, as a crash at the first call may leave it', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    writeFileSync(file, '')
    expect(await attempt(file)).toBe('1')
  })

  it('is refused as damaged where its pages are overwritten', async () => {
    const file = await journalFile(500)
    const bytes = readFileSync(file)
    writeFileSync(file, bytes.fill(0xa5, 4096))
    await expect(attempt(file)).rejects.toMatchObject({ code: 'JOURNAL_CORRUPT', fault: 'invalid' })
  })

  it('is refused as damaged where a value is not JSON', async () => {
    const file = await journalFile()
    sql(file, `UPDATE entry SET value = '{' WHERE key = 'k/3'`)
    const journal = sqlStore({ file })
    onTestFinished(() => journal.close?.())
    await expect(journal.get('k/3')).rejects.toMatchObject({ code: 'JOURNAL_CORRUPT', fault: 'invalid' })
    expect((await journal.get('k/4'))?.value).toEqual({ text: 'x'.repeat(28) })
  })

  it('answers with a coded error or an answer, whatever bytes of it are changed', async () => {
    const bytes = readFileSync(await journalFile())
    const file = join(temporaryFolder(), 'mutant.db')
    const codes = new Map<string, number>()
    // xorshift32 with a fixed seed: every run sees the same mutants.
    let state = 0x9e3779b9
    const random = (below: number) => {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      return (state >>> 0) % below
    }
    for (let round = 0; round < 150; round++) {
      const mutant = Uint8Array.from(bytes)
      // Half of the changes go to headers of the file and of pages, where they reach deep.
      for (let change = random(4) + 1; change > 0; change--) {
        const at = random(2) === 0 ? random(mutant.length) : random(Math.floor(mutant.length / 4096)) * 4096 + random(120)
        mutant[at] = random(256)
      }
      for (const end of ['', '-wal', '-shm']) writeFileSync(file + end, '')
      writeFileSync(file, random(10) === 0 ? mutant.subarray(0, random(mutant.length)) : mutant)
      try {
        await exercise(file)
      } catch (error) {
        expect(isOtaError(error), String(error)).toBe(true)
        const { code } = error as { code: string }
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
    }
    expect([...codes.keys()].sort()).toEqual(expect.arrayContaining(['JOURNAL_CORRUPT', 'NOT_A_JOURNAL']))
  })
})
