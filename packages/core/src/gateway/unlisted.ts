import { isOtaError, type Reason } from '../errors.ts'

/**
 * Why a repository's versions could not be listed though the registry has answered: the fault of the registry, of whoever stands between, or
 * of our credentials there, and never the device's. Undefined for everything else: what is tried again, and a repository that is not there.
 */
export function unlisted(error: unknown): readonly Reason[] | undefined {
  if (!isOtaError(error) || error.code === 'NOT_FOUND') return undefined
  return error.fault === 'rejected' || error.fault === 'invalid' ? error.because : undefined
}
