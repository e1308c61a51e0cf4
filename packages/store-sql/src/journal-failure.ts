import { coreError, isOtaError, type OtaError } from '@reflash/core'
import { fail } from './sql-errors.ts'

// Primary result codes: https://www.sqlite.org/rescode.html
const busy = 5
const locked = 6
const unavailable = new Set([3, 7, 8, 10, 13, 14, 15, 22, 23]) // PERM NOMEM READONLY IOERR FULL CANTOPEN PROTOCOL NOLFS AUTH
const notADatabase = 26
// Extended code of IOERR: the file ends before a page that it says it has.
const shortRead = 10 | (2 << 8)

/** The primary result code of an error of `node:sqlite`, or undefined for any other error. */
function primaryCode(error: unknown): number | undefined {
  const errcode = (error as { readonly errcode?: unknown } | null)?.errcode
  return typeof errcode === 'number' ? errcode & 0xff : undefined
}

/** Holds where another connection has the lock, so that the same call may succeed in a moment. */
export function isBusy(error: unknown): boolean {
  const code = primaryCode(error)
  return code === busy || code === locked
}

/** Puts what SQLite or the file system says into the words of a journal. */
export function journalFailure(error: unknown, file: string): OtaError {
  if (isOtaError(error)) return error
  // SQLite quotes what stands in the file, which may be anything.
  const message = (error as Error).message.replace(/\p{Cc}/gu, '\ufffd')
  const options = { cause: error, details: { file } }
  const code = primaryCode(error)
  if (code === notADatabase) return fail('NOT_A_JOURNAL', `${file}: expected a journal of reflash, found no database: ${message}`, options)
  // Errors of the file system name their call; others without a result code are values that JavaScript cannot hold.
  const failedCall = code === undefined && (error as NodeJS.ErrnoException).syscall !== undefined
  const isShort = (error as { readonly errcode?: unknown }).errcode === shortRead
  if (failedCall || isBusy(error) || (code !== undefined && unavailable.has(code) && !isShort)) {
    return coreError('JOURNAL_UNAVAILABLE', `${file}: the journal cannot be used now: ${message}`, options)
  }
  return fail('JOURNAL_CORRUPT', `${file}: the journal is damaged: ${message}`, options)
}
