import { randomBytes } from 'node:crypto'
import { access, type FileHandle, link, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { OtaError } from '@reflash/core'
import { fail } from './cli-errors.ts'

/**
 * Reads a small file whole.
 * @throws `FILE_NOT_FOUND`, `FILE_NOT_READABLE`
 */
export async function readSmallFile(path: string, what: string, limitBytes: number): Promise<Uint8Array> {
  try {
    const file = await open(path)
    try {
      const { size } = await file.stat()
      if (size > limitBytes) throw fail('FILE_NOT_READABLE', `${what} ${path}: expected at most ${limitBytes} bytes, found ${size}`)
      return await readFile(file)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw readError(error, path, what)
  }
}

/** Whether a file begins with this text (ASCII). */
export async function startsWith(path: string, text: string): Promise<boolean> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(text.length), 0, text.length, 0)
    return buffer.toString('latin1', 0, bytesRead) === text
  } finally {
    await file.close()
  }
}

/** Whether other users of the machine can read a file; false where it is not there. */
export async function isOpenToOthers(path: string): Promise<boolean> {
  return stat(path).then(
    ({ mode }) => (mode & 0o004) !== 0,
    () => false,
  )
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

export interface WriteOptions {
  /** Permissions of the new file. */
  readonly mode?: number
  /** Whether a file that stands there is replaced; else it is refused. */
  readonly replace: boolean
}

/**
 * Writes a file so that it appears whole or not at all: into a temporary file beside it, which is synced and then renamed. Whatever
 * `write` throws, the temporary file goes. What stands at a link is replaced, not the link.
 * @throws `FILE_EXISTS`, `FILE_NOT_FOUND` (the folder), `FILE_NOT_WRITABLE`
 */
export async function writeWhole<T>(
  named: string,
  { mode = 0o666, replace }: WriteOptions,
  write: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const path = replace ? await placeOf(named) : named
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`)
  let file: FileHandle | undefined
  try {
    file = await open(temporary, 'wx', mode)
    const result = await write(file)
    await file.sync()
    await file.close()
    if (replace) await rename(temporary, path)
    else await link(temporary, path) // Unlike rename, it never replaces.
    return result
  } catch (error) {
    throw writeError(error, path)
  } finally {
    await file?.close().catch(() => {})
    await rm(temporary, { force: true })
  }
}

/** The file that a path means. A device or a pipe in its place would go from the machine: renaming replaces whatever is there. */
async function placeOf(path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() === true) return realpath(path)
  // A folder is refused when it comes to renaming.
  if (found === undefined || found.isDirectory()) return path
  throw fail('FILE_NOT_WRITABLE', `${path} cannot be written: expected a file or nothing there, found a device, a pipe or a socket`)
}

export function readError(error: unknown, path: string, what: string): unknown {
  if (error instanceof OtaError) return error
  const code = systemCode(error)
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return fileNotFound(path, what, error)
  }
  if (code === undefined) return error
  return fail('FILE_NOT_READABLE', `${what} ${path} cannot be read: ${meaningOf(code)}`, { cause: error })
}

export function fileNotFound(path: string, what: string, cause?: unknown): Error {
  return fail('FILE_NOT_FOUND', `expected ${what} at ${path}, found nothing there`, { cause })
}

export function writeError(error: unknown, path: string): unknown {
  if (error instanceof OtaError) return error
  const code = systemCode(error)
  if (code === 'EEXIST') return fail('FILE_EXISTS', `expected no file at ${path}, found one`, { cause: error })
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return fail('FILE_NOT_FOUND', `expected the folder ${dirname(path)} for ${basename(path)}, found none`, { cause: error })
  }
  if (code === undefined) return error
  return fail('FILE_NOT_WRITABLE', `${path} cannot be written: ${meaningOf(code)}`, { cause: error })
}

/** Node's own message repeats path and call; people want the meaning. */
const meanings: Readonly<Record<string, string>> = {
  EACCES: 'permission denied (EACCES)',
  EPERM: 'not permitted (EPERM)',
  EISDIR: 'it is a folder (EISDIR)',
  ENOSPC: 'the disk is full (ENOSPC)',
  EROFS: 'the file system is read-only (EROFS)',
}

const meaningOf = (code: string) => meanings[code] ?? code

function systemCode(error: unknown): string | undefined {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown }
  return error instanceof Error && typeof code === 'string' && typeof syscall === 'string' ? code : undefined
}
