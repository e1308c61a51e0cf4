import { join } from 'node:path'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import { type FileLock, lockFile } from './file-lock.ts'

/** Also the sign that a directory is a cache. */
export const lockName = 'reflash-cache.lock'

/**
 * Takes the lock file in a directory for this process and this call alone, until it is released or the process ends in whatever way.
 * @throws `CACHE_IN_USE` where it is taken, `CACHE_UNAVAILABLE` where the file cannot be made, `SQLITE_MISSING`
 */
export async function lockDirectory(directory: string): Promise<FileLock> {
  let lock: FileLock | undefined
  try {
    lock = lockFile(join(directory, lockName))
  } catch (cause) {
    if (isOtaError(cause)) throw cause
    throw fail('CACHE_UNAVAILABLE', `expected to lock ${directory}, found: ${(cause as Error).message}`, { cause })
  }
  if (lock !== undefined) return lock
  throw fail('CACHE_IN_USE', `expected ${directory} for this cache alone, found it locked by another process; give each its own directory`)
}
