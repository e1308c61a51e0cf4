import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { coreError, loadSqlite, makePrivate } from '@reflash/core'
import { checkSchema, migrateSqlite } from './sqlite-schema.ts'

/** How far a commit goes before it counts: `full` survives a power cut, `normal` only the death of the process. */
export type Synchronous = 'full' | 'normal'

/** The row that a key has, with its parts in this order. */
export type EntryRow = readonly [value: string, version: number]

/** One change of the journal; `text` undefined deletes. */
export interface Change {
  readonly key: string
  readonly ifVersion: string | null
  readonly text: string | undefined
  readonly expires: number | undefined
}

/** What became of a change: its new version, or the version that stood in its way. */
export type Outcome = { readonly version: string } | { readonly found: string | null }

export interface Database {
  get(key: string, now: number): EntryRow | undefined
  /** Live keys k with `from` <= k < `before`, at most `limit`, in order. */
  keys(from: string, before: string, now: number, limit: number): readonly string[]
  /** Commits all changes in one transaction, each judged after the ones before it, and prunes a bounded number of expired entries. */
  commit(changes: readonly Change[], now: number): readonly Outcome[]
  close(): void
}

// SQLite blocks the event loop while it waits for a lock: so it waits only briefly, and the caller tries again between other work.
const lockWaitMs = 10
// SQLite keeps the WAL file at its largest size; after a burst it is cut back to this.
const walLimitBytes = 16 * 1024 * 1024
// At least so many expired entries go with each commit, and never fewer than it adds: the file cannot grow by expired entries alone.
const prunePerCommit = 16

/** Opens the journal in `file`, and makes it where there is none. Errors are those of `node:fs` and `node:sqlite`, and this package's own. */
export function openDatabase(file: string, synchronous: Synchronous): Database {
  const database = openSqlite(file, synchronous)
  try {
    return statements(database)
  } catch (error) {
    // A damaged file is opened anew at each call: what stays open would use up the descriptors of the process.
    database.close()
    throw error
  }
}

/** Opens the database in `file`, and makes it where there is none, at the schema of this version. Errors as above. */
export function openSqlite(file: string, synchronous: Synchronous): DatabaseSync {
  const { DatabaseSync } = loadSqlite()
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  // SQLite would make the file readable to all; its -wal and -shm follow the mode of this one.
  makePrivate(file)
  const database = new DatabaseSync(file)
  try {
    database.exec(`PRAGMA busy_timeout = ${lockWaitMs}; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON`)
    checkSchema(database, file)
    const mode = database.prepare('PRAGMA journal_mode = WAL').get()?.journal_mode
    if (mode !== 'wal')
      throw coreError('JOURNAL_UNAVAILABLE', `${file}: expected a file system that carries a WAL, found journal mode ${mode}`)
    database.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA journal_size_limit = ${walLimitBytes}`)
    migrateSqlite(database)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function statements(database: DatabaseSync): Database {
  const live = '(expires IS NULL OR expires > ?)'
  const get = database.prepare(`SELECT value, version FROM entry WHERE key = ? AND ${live}`)
  // Rows as arrays are a third faster; Node 22 has objects only.
  const rowsAreArrays = typeof get.setReturnArrays === 'function'
  if (rowsAreArrays) get.setReturnArrays(true)
  const versionOf = database.prepare(`SELECT version FROM entry WHERE key = ? AND ${live}`)
  const keys = database.prepare(`SELECT key FROM entry WHERE key >= ? AND key < ? AND ${live} ORDER BY key LIMIT ?`)
  const upsert = database.prepare(
    `INSERT INTO entry (key, value, version, expires) VALUES (?, ?, ?, ?)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, expires = excluded.expires`,
  )
  const remove = database.prepare('DELETE FROM entry WHERE key = ?')
  const prune = database.prepare('DELETE FROM entry WHERE id IN (SELECT id FROM entry WHERE expires <= ? ORDER BY expires LIMIT ?)')
  const begin = database.prepare('BEGIN IMMEDIATE')
  const last = database.prepare('SELECT last FROM sequence')
  const setLast = database.prepare('UPDATE sequence SET last = ?')
  const commit = database.prepare('COMMIT')

  function apply({ key, ifVersion, text, expires }: Change, now: number, next: number): Outcome {
    const row = versionOf.get(key, now)
    const found = row === undefined ? null : String(row.version)
    if (found !== ifVersion) return { found }
    if (text === undefined) remove.run(key)
    else upsert.run(key, text, next, expires ?? null)
    return { version: String(next) }
  }

  return {
    get(key, now) {
      const row = get.get(key, now) as unknown
      if (row === undefined || rowsAreArrays) return row as EntryRow | undefined
      const { value, version } = row as { value: string; version: number }
      return [value, version]
    },
    keys: (from, before, now, limit) => keys.all(from, before, now, limit).map(({ key }) => key as string),
    commit(changes, now) {
      begin.run()
      try {
        let sequence = last.get()?.last as number
        const outcomes = changes.map((change) => apply(change, now, ++sequence))
        prune.run(now, Math.max(prunePerCommit, 2 * changes.length))
        setLast.run(sequence)
        commit.run()
        return outcomes
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK')
        throw error
      }
    },
    close: () => database.close(),
  }
}
