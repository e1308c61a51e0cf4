import { coreError, isOtaError } from '@reflash/core'
import { fail } from '../oci-errors.ts'

const denied = new Set(['EACCES', 'EPERM', 'EROFS'])
// EEXIST: a file stands where a directory is to be made.
const notALayout = new Set(['EEXIST', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG'])

/** Runs work on files; what the file system says becomes an error with a fault. `what` names the work. */
export async function onFiles<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileFailure(error, what)
  }
}

function fileFailure(error: unknown, what: string): unknown {
  const code = errnoOf(error)
  if (isOtaError(error) || code === undefined) return error
  const found = `${what}: expected the file system to allow it, found ${code}`
  const options = { cause: error, details: { code } }
  if (code === 'ENOENT') return coreError('NOT_FOUND', `${what}: expected it to exist, found nothing there`, options)
  if (denied.has(code)) return fail('REGISTRY_DENIED', found, options)
  if (notALayout.has(code)) return fail('INVALID_LAYOUT', found, options)
  return coreError('REGISTRY_UNAVAILABLE', found, options)
}

/** The code of a system error such as ENOENT. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined
}
