import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../cli-errors.ts'
import { writeError } from '../files.ts'

export interface DeviceLock {
  release(): void
}

/** SQLite result codes, primary. sqlite.org/rescode.html */
const sqliteBusy = 5

/**
 * Makes the state folder and takes it for this process alone, until it is released or the process dies in whatever way: the lock is SQLite's
 * file lock, which the kernel drops. A process id in a file would outlive a `kill -9`.
 * @throws `DEVICE_STATE_IN_USE`, `FILE_NOT_WRITABLE`, `FILE_NOT_FOUND`
 */
export async function lockDevice(folder: string): Promise<DeviceLock> {
  // Loaded late: an older runtime warns when it loads this module.
  const { DatabaseSync } = await import('node:sqlite')
  const path = join(folder, 'device.lock')
  try {
    mkdirSync(folder, { recursive: true })
    const database = new DatabaseSync(path, { timeout: 0 })
    try {
      database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    } catch (error) {
      database.close()
      throw error
    }
    return { release: () => database.close() }
  } catch (error) {
    if ((error as { errcode?: unknown }).errcode === sqliteBusy) {
      throw fail('DEVICE_STATE_IN_USE', `expected ${folder} for this process alone, found another device running from it`, { cause: error })
    }
    if ((error as { code?: unknown }).code === 'ERR_SQLITE_ERROR') {
      throw fail('FILE_NOT_WRITABLE', `${path} cannot be written: ${(error as Error).message}`, { cause: error })
    }
    throw writeError(error, path)
  }
}
