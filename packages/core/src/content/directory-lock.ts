import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../core-errors.ts'

export interface DirectoryLock {
  release(): void
}

/** Also the sign that a directory is a cache. */
export const lockName = 'reflash-cache.lock'

/** SQLite result codes, primary. sqlite.org/rescode.html */
const sqliteBusy = 5

/**
 * Takes the lock file in a directory for this process and this call alone, until it is released or the process ends in whatever way.
 *
 * The lock is SQLite's exclusive file lock: the kernel drops it when a process dies, and it holds between containers that share a volume,
 * where process ids mean nothing. A file with a process id in it has neither property.
 * @throws `CACHE_IN_USE` where it is taken, `CACHE_UNAVAILABLE` where the file cannot be made
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  // Loaded late: an older runtime warns when it loads this module.
  const { DatabaseSync } = await import('node:sqlite')
  const path = join(directory, lockName)
  attempt(directory, () => makePrivate(path))
  const database = attempt(directory, () => new DatabaseSync(path, { timeout: 0 }))
  try {
    attempt(directory, () => database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE'))
  } catch (error) {
    database.close()
    throw error
  }
  return { release: () => database.close() }
}

function attempt<T>(directory: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if ((cause as { errcode?: unknown }).errcode === sqliteBusy) {
      throw fail(
        'CACHE_IN_USE',
        `expected ${directory} for this cache alone, found it locked by another process; give each its own directory`,
        { cause },
      )
    }
    throw fail('CACHE_UNAVAILABLE', `expected to lock ${directory}, found: ${(cause as Error).message}`, { cause })
  }
}

// Only where it is new: closing any descriptor of a file drops every POSIX lock that the process has on it.
function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
