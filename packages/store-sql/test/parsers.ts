import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fuzzParser, type Mutation, mutateBytes, mutateField, type ParserFuzz } from '@reflash/core/testing'
import { sqlStore } from '@reflash/store-sql'

// In memory where the system has such a place: nothing here is about a disk, which would take most of the time.
const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const folder = mkdtempSync(join(place, 'store-sql-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const pageBytes = 4096

/** A closed journal with so many entries of ascending size: they fill several pages, and the last takes pages of its own. */
async function journalBytes(entries: number): Promise<Uint8Array> {
  const file = join(folder, `${entries}.db`)
  const journal = sqlStore({ file })
  const textOf = (index: number): string => 'x'.repeat(index < entries - 1 ? index * 50 : 3 * pageBytes)
  await Promise.all(Array.from({ length: entries }, (_, index) => journal.put(`k/${index}`, { text: textOf(index) }, { ifVersion: null })))
  await journal.close?.()
  return readFileSync(file)
}

/** The header of a page, where a change reaches deep. */
const inPageHeader: Mutation<Uint8Array> = (bytes, random, other) =>
  mutateField(random.below(Math.floor(bytes.length / pageBytes)) * pageBytes + random.below(120), random.pick([1, 2, 4]), {
    bigEndian: true,
  })(bytes, random, other)

/** Everything that a journal offers, on a file that may be anything. */
async function exercise(bytes: Uint8Array): Promise<void> {
  const file = join(folder, 'mutant.db')
  for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true })
  writeFileSync(file, bytes)
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

const journalFile = fuzzParser<Uint8Array, void>({
  name: 'journal file (SQLite)',
  corpus: [await journalBytes(20)],
  mutations: [mutateBytes, inPageHeader, inPageHeader, mutateField(60, 4, { bigEndian: true }), mutateField(18, 1)],
  parse: exercise,
  // Unavailable: a header that asks for a later format of SQLite makes the file read-only.
  codes: { JOURNAL_CORRUPT: 'invalid', NOT_A_JOURNAL: 'invalid', JOURNAL_TOO_NEW: 'unsupported', JOURNAL_UNAVAILABLE: 'unavailable' },
})

/** Every parser of this package. */
export const parsers: readonly ParserFuzz[] = [journalFile]
