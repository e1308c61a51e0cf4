import { closeSync, openSync } from 'node:fs'
import { loadSqlite } from './sqlite.ts'

/** A lock file that is held. */
export interface FileLock {
  release(): void
}

/** SQLite result codes, primary. sqlite.org/rescode.html */
const sqliteBusy = 5

/**
 * Takes a lock file, which is made where there is none, for this process and this call alone, until it is released or the process ends in
 * whatever way. Returns undefined where somebody else has it.
 *
 * The lock is SQLite's exclusive file lock: the kernel drops it when a process dies, and it holds between containers that share a volume,
 * where process ids mean nothing. A file with a process id in it has neither property.
 * @throws `SQLITE_MISSING`, and what `node:fs` and `node:sqlite` throw where the file cannot be made
 */
export function lockFile(path: string): FileLock | undefined {
  const { DatabaseSync } = loadSqlite()
  makePrivate(path)
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: unknown }).errcode === sqliteBusy) return undefined
    throw error
  }
  return { release: () => database.close() }
}

/**
 * Makes an empty file that only its owner can read, unless there is one.
 * @throws what `node:fs` throws
 */
export function makePrivate(path: string): void {
  try {
    // Only where it is new: closing any descriptor of a file drops every POSIX lock that the process has on it.
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
