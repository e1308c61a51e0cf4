import type { Digest } from '../content/digest.ts'
import type { Journal } from './journal.ts'
import type { Plugin, RunContext } from './plugin.ts'

/** What is known of an artifact whose version is asked for. */
export interface VersionClaim {
  readonly repository: string
  /** What the reference points at. */
  readonly root: Digest
  /** It, or its child for the platform. */
  readonly manifest: Digest
  /** What the passing verifiers cover: where it is the manifest alone, anybody can list it in another root. */
  readonly covers: 'root' | 'manifest'
  /** The tag of the reference, where it had one: a hint, never a proof. */
  readonly tag?: string
  /** The version annotation of bytes that a passing verifier covers. */
  readonly signed?: string
}

/** Says which version an artifact is: `signedVersions()` unless the composition says otherwise. */
export interface VersionSource extends Plugin<'version-source'> {
  /** @throws `VERSION_NOT_SIGNED`, `VERSION_MISMATCH` (rejected) */
  version(claim: VersionClaim, context: RunContext & { readonly state: Pick<Journal, 'get' | 'put'> }): Promise<string>
}
