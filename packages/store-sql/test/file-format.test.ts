import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadSqlite } from '@reflash/core'
import { sqlFleet, sqlStore } from '@reflash/store-sql'
import { describe, expect, it, onTestFinished } from 'vitest'
import { exerciseMutants, journalFile } from './mutants.ts'
import { temporaryFolder } from './temporary-folder.ts'

const { DatabaseSync } = loadSqlite()

function sql(file: string, statements: string): void {
  const database = new DatabaseSync(file)
  database.exec(statements)
  database.close()
}

async function attempt(file: string): Promise<unknown> {
  const journal = sqlStore({ file })
  onTestFinished(() => journal.close?.())
  return await journal.put('probe', 1, { ifVersion: null })
}

describe('the file of a journal', () => {
  it('is refused, untouched, where a newer version has written it', async () => {
    const file = await journalFile()
    sql(file, 'PRAGMA user_version = 99')
    const before = readFileSync(file)
    await expect(attempt(file)).rejects.toMatchObject({ code: 'JOURNAL_TOO_NEW', fault: 'unsupported', details: { known: 2, found: 99 } })
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

  it('is refused as damaged where a key is none, a number is beyond what JavaScript holds, or a page is missing', async () => {
    for (const damage of [
      `UPDATE entry SET key = 'k/' || char(10) WHERE key = 'k/3'`,
      `UPDATE entry SET version = 9223372036854775807 WHERE key = 'k/3'`,
    ]) {
      const file = await journalFile()
      sql(file, damage)
      const journal = sqlStore({ file })
      onTestFinished(() => journal.close?.())
      const readAll = async () => {
        for await (const key of journal.list('k/')) await journal.get(key)
      }
      await expect(readAll()).rejects.toMatchObject({ code: 'JOURNAL_CORRUPT', fault: 'invalid' })
    }
    const short = await journalFile(500)
    truncateSync(short, 3 * 4096)
    await expect(attempt(short)).rejects.toMatchObject({ code: 'JOURNAL_CORRUPT' })
  })

  it.runIf(existsSync('/proc/self/fd'))('is let go each time that it turns out to be damaged', async () => {
    const file = await journalFile()
    sql(file, 'DROP TABLE entry')
    const journal = sqlStore({ file })
    const handles = () => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd).startsWith(file)).length
    for (let round = 0; round < 5; round++) await expect(journal.get('k/1')).rejects.toMatchObject({ code: 'JOURNAL_CORRUPT' })
    expect(handles()).toBe(0)
    await journal.close?.()
  })

  it('answers with a coded error or an answer, whatever bytes of it are changed', async () => {
    const codes = await exerciseMutants(readFileSync(await journalFile()), 150, 0x9e3779b9)
    expect([...codes.keys()].sort()).toEqual(expect.arrayContaining(['JOURNAL_CORRUPT', 'NOT_A_JOURNAL']))
  })
})

describe('the journal of an older version', () => {
  it('is brought to the schema of this version with everything in it, and holds a fleet then', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    // What schema 1 was made with, word for word: published files have it.
    sql(
      file,
      `CREATE TABLE entry (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value TEXT NOT NULL, version INTEGER NOT NULL, expires INTEGER) STRICT;
       CREATE INDEX entry_expires ON entry (expires) WHERE expires IS NOT NULL;
       CREATE TABLE sequence (id INTEGER PRIMARY KEY CHECK (id = 0), last INTEGER NOT NULL) STRICT;
       INSERT INTO sequence VALUES (0, 7);
       INSERT INTO entry (key, value, version) VALUES ('device/d1', '{"v":1}', 7);
       PRAGMA application_id = ${0x72666c31}; PRAGMA user_version = 1`,
    )
    const journal = sqlStore({ file })
    const fleet = sqlFleet({ file })
    onTestFinished(async () => {
      await journal.close?.()
      await fleet.close?.()
    })
    expect(await journal.get('device/d1')).toEqual({ value: { v: 1 }, version: '7' })
    expect(await journal.put('device/d1', { v: 2 }, { ifVersion: '7' })).toBe('8')
    expect(await fleet.putDevice({ id: 'd1', bucket: 5, labels: {} }, { ifVersion: null })).toBe('1')
  })
})

/** What an open file is; the list of them is open itself, and gone when it is looked at. */
function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}
