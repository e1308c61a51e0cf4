import type { DatabaseSync } from 'node:sqlite'
import { fail } from './sql-errors.ts'

/** "rfl" and a 1: the application id of SQLite's file header, by which a journal of reflash is told from other databases. */
export const applicationId = 0x72666c31

/**
 * Forward-only steps: step i leads from schema i to i + 1, and the number of steps is the schema that this version writes (`PRAGMA
 * user_version`). A published step is never edited.
 *
 * entry: one row per key; `value` is JSON text; `version` is never used twice in a file, not even after a deletion; `expires` is
 * in milliseconds since 1970, null for never. An ordinary rowid table, because values may be large.
 * sequence: one row, the last version given.
 */
const steps: readonly string[] = [
  `CREATE TABLE entry (
     id INTEGER PRIMARY KEY,
     key TEXT NOT NULL UNIQUE,
     value TEXT NOT NULL,
     version INTEGER NOT NULL,
     expires INTEGER
   ) STRICT;
   CREATE INDEX entry_expires ON entry (expires) WHERE expires IS NOT NULL;
   CREATE TABLE sequence (id INTEGER PRIMARY KEY CHECK (id = 0), last INTEGER NOT NULL) STRICT;
   INSERT INTO sequence VALUES (0, 0);`,
]

export const schemaVersion = steps.length

/**
 * Holds that the file is empty or a journal of a known schema, and writes nothing.
 * @throws `NOT_A_JOURNAL`, `JOURNAL_TOO_NEW`
 */
export function checkSchema(database: DatabaseSync, file: string): void {
  const found = pragma(database, 'application_id')
  const version = pragma(database, 'user_version')
  if (found === 0 && version === 0 && database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.n === 0) return
  if (found !== applicationId) {
    throw fail('NOT_A_JOURNAL', `${file}: expected a journal of reflash, found a database of another program; name another file`)
  }
  if (version > schemaVersion) {
    throw fail(
      'JOURNAL_TOO_NEW',
      `${file}: this version knows journals up to schema ${schemaVersion}, found schema ${version}; update it`,
      {
        details: { file, known: schemaVersion, found: version },
      },
    )
  }
}

/** Brings the file to the schema of this version in one transaction; two processes may try at once. */
export function migrate(database: DatabaseSync): void {
  if (pragma(database, 'user_version') === schemaVersion) return
  database.exec('BEGIN IMMEDIATE')
  try {
    for (const step of steps.slice(pragma(database, 'user_version'))) database.exec(step)
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}; COMMIT`)
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function pragma(database: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return database.prepare(`PRAGMA ${name}`).get()?.[name] as number
}
