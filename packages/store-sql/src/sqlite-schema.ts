import type { DatabaseSync } from 'node:sqlite'
import { schemaVersion, sqliteDialect, steps } from './schema.ts'
import { fail } from './sql-errors.ts'

/** "rfl" and a 1: the application id of SQLite's file header, by which a database of reflash is told from others. */
export const applicationId = 0x72666c31

/**
 * Holds that the file is empty or a database of a known schema, and writes nothing.
 * @throws `NOT_A_JOURNAL`, `JOURNAL_TOO_NEW`
 */
export function checkSchema(database: DatabaseSync, file: string): void {
  const { found, version, isEmpty } = headOf(database)
  if (found === 0 && version === 0 && isEmpty) return
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

// In one transaction: another process may make a journal of an empty file at this moment, and half of each state is that of another program.
function headOf(database: DatabaseSync): { readonly found: number; readonly version: number; readonly isEmpty: boolean } {
  database.exec('BEGIN')
  try {
    const [found, version] = [pragma(database, 'application_id'), pragma(database, 'user_version')]
    return { found, version, isEmpty: database.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.n === 0 }
  } finally {
    if (database.isTransaction) database.exec('ROLLBACK')
  }
}

/** Brings the file to the schema of this version in one transaction; two processes may try at once. */
export function migrateSqlite(database: DatabaseSync): void {
  if (pragma(database, 'user_version') === schemaVersion) return
  database.exec('BEGIN IMMEDIATE')
  try {
    for (const step of steps.slice(pragma(database, 'user_version'))) database.exec(step(sqliteDialect))
    database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}; COMMIT`)
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function pragma(database: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return database.prepare(`PRAGMA ${name}`).get()?.[name] as number
}
