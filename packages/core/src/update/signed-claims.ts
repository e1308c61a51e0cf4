import type { Platform } from '../content/descriptor.ts'
import { annotations } from '../content/media-types.ts'
import { parsePlatform } from '../content/platform.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { VerificationResult } from '../plugin/signature-verifier.ts'
import { isRange } from '../policy/version.ts'
import { quoted } from './quoted.ts'
import type { Resolved } from './release-line.ts'

/** What a release says of itself in bytes that a passing verifier covers. */
export interface SignedClaims {
  /** Whether the signed bytes are the root's, and with them all that it lists, or the manifest's alone. */
  readonly covers: 'root' | 'manifest'
  readonly version?: string
  readonly product?: string
  readonly platform?: Platform
  readonly from?: string
}

/**
 * Reads the claims of a release from its covered annotations.
 * @throws `VERSION_MISMATCH`, `WRONG_PRODUCT`, `WRONG_PLATFORM` (rejected), `INVALID_FLOOR` (invalid) where root and manifest disagree or a
 * claim cannot be read
 */
export function signedClaims(resolved: Resolved, results: readonly VerificationResult[]): SignedClaims {
  const covers = covered(resolved, results)
  const sources = covers === 'root' ? [resolved.manifestAnnotations, resolved.rootAnnotations] : [resolved.manifestAnnotations]
  const read = (key: string, code: 'VERSION_MISMATCH' | 'WRONG_PRODUCT' | 'INVALID_FLOOR'): string | undefined => {
    const values = [...new Set(sources.map((source) => source[key]).filter((value) => value !== undefined))]
    if (values.length < 2) return values[0]
    const found = values.map((value) => quoted(value)).join(' and ')
    throw fail(code, `${resolved.reference}: expected one ${key}, found ${found}`, { stage: 'verify' })
  }
  const version = read(annotations.version, 'VERSION_MISMATCH')
  const product = read(annotations.product, 'WRONG_PRODUCT')
  const from = read(annotations.from, 'INVALID_FLOOR')
  const platform = platformOf(resolved, covers)
  if (from !== undefined && !isRange(from)) {
    throw fail('INVALID_FLOOR', `${resolved.reference}: expected ${annotations.from} to be a semver range, found ${quoted(from)}`, {
      stage: 'verify',
    })
  }
  return {
    covers,
    ...(version === undefined ? {} : { version }),
    ...(product === undefined ? {} : { product }),
    ...(platform === undefined ? {} : { platform }),
    ...(from === undefined ? {} : { from }),
  }
}

// A signed root covers its child, whose digest it holds. A signed manifest does not cover the index that lists it.
function covered({ root, manifest }: Resolved, results: readonly VerificationResult[]): 'root' | 'manifest' {
  if (root.digest === manifest.digest) return 'root'
  // unsignedArtifacts() beside a real verifier lets everything pass and vouches for nothing: what the other one covers counts.
  const vouching = results.filter(({ checks }) => checks.some(({ status }) => status === 'passed'))
  return (vouching.length > 0 ? vouching : results).some(({ covers }) => covers === 'root') ? 'root' : 'manifest'
}

// The manifest's own annotation; in a signed index also what the index says of it.
function platformOf({ manifestAnnotations, platform, reference }: Resolved, covers: 'root' | 'manifest'): Platform | undefined {
  const said = manifestAnnotations[annotations.platform]
  if (said === undefined) return covers === 'root' ? platform : undefined
  try {
    return parsePlatform(said)
  } catch (cause) {
    if (!isOtaError(cause)) throw cause
    const message = `${reference}: expected ${annotations.platform} to be os/architecture[/variant], found ${quoted(said)}`
    throw fail('WRONG_PLATFORM', message, { stage: 'verify', cause })
  }
}
