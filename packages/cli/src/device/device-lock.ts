import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type FileLock, isOtaError, lockFile } from '@reflash/core'
import { fail } from '../cli-errors.ts'
import { writeError } from '../files.ts'

/**
 * Makes the state folder and takes it for this process alone, until it is released or the process dies in whatever way.
 * @throws `DEVICE_STATE_IN_USE`, `FILE_NOT_WRITABLE`, `FILE_NOT_FOUND`, `SQLITE_MISSING`
 */
export async function lockDevice(folder: string): Promise<FileLock> {
  const path = join(folder, 'device.lock')
  let lock: FileLock | undefined
  try {
    makeFolder(folder)
    lock = lockFile(path)
  } catch (error) {
    if (isOtaError(error)) throw error
    if ((error as { code?: unknown }).code === 'ERR_SQLITE_ERROR') {
      throw fail('FILE_NOT_WRITABLE', `${path} cannot be written: ${(error as Error).message}`, { cause: error })
    }
    throw writeError(error, path)
  }
  if (lock !== undefined) return lock
  throw fail('DEVICE_STATE_IN_USE', `expected ${folder} for this process alone, found another device running from it`)
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code !== 'EEXIST' && code !== 'ENOTDIR') throw error
    throw fail('FILE_NOT_WRITABLE', `expected a folder at ${folder}, found a file`, { cause: error })
  }
}
