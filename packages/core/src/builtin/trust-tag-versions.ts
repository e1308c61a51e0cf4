import type { Digest } from '../content/digest.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { Journal } from '../plugin/journal.ts'
import type { VersionSource } from '../plugin/version-source.ts'
import { compareVersions, parseTag, parseVersion } from '../policy/version.ts'
import { signedVersion } from './signed-versions.ts'

interface Memory {
  readonly state: Pick<Journal, 'get' | 'put'>
  readonly signal: AbortSignal
}

/**
 * Believes the tag where no version is signed, for registries that were filled without annotations, and binds what is signed to the
 * version it was first seen under, so that an old release cannot come back under a newer tag. A signed version still wins.
 * Its `version` throws `VERSION_NOT_SIGNED`, `VERSION_MISMATCH` (rejected), `FACTS_CORRUPT` (invalid), and what the journal throws.
 */
export function trustTagVersions(): VersionSource {
  return Object.freeze({
    kind: 'version-source',
    name: 'trust-tag-versions',
    spec: 0,
    opens:
      'versions are believed from tags where none is signed: whoever can write tags can name any signed release never seen before anything',
    version: async (claim, { state, signal }) => {
      if (claim.signed !== undefined) return signedVersion(claim)
      const tagged = claim.tag === undefined ? undefined : parseTag(claim.tag)
      // Where the manifest alone is signed, a new root around it costs nothing: the binding must be to what cannot be made anew.
      const bound = await boundVersion(claim.covers === 'root' ? claim.root : claim.manifest, tagged, { state, signal })
      if (bound === undefined) return signedVersion(claim)
      if (claim.covers === 'root' && claim.manifest !== claim.root) await rememberManifest(claim.manifest, bound, { state, signal })
      return bound
    },
  } satisfies VersionSource)
}

// Read, else write, else read what another writer was faster to bind; a binding is never changed.
async function boundVersion(digest: Digest, tagged: string | undefined, { state, signal }: Memory): Promise<string | undefined> {
  const bound = await state.get(digest, { signal })
  if (bound !== undefined) return agreed(bound.value, tagged, digest)
  if (tagged === undefined) return undefined
  try {
    await state.put(digest, tagged, { ifVersion: null, signal })
    return tagged
  } catch (error) {
    if (!isOtaError(error) || error.code !== 'JOURNAL_CONFLICT') throw error
    const faster = await state.get(digest, { signal })
    if (faster === undefined) throw error
    return agreed(faster.value, tagged, digest)
  }
}

// A manifest may be signed by itself beside its index: it must not become free for another version that way. In several signed indexes it
// keeps its first, and theirs count.
async function rememberManifest(digest: Digest, version: string, { state, signal }: Memory): Promise<void> {
  if ((await state.get(digest, { signal })) !== undefined) return
  try {
    await state.put(digest, version, { ifVersion: null, signal })
  } catch (error) {
    if (!isOtaError(error) || error.code !== 'JOURNAL_CONFLICT') throw error
  }
}

function agreed(bound: unknown, tagged: string | undefined, digest: Digest): string {
  if (typeof bound !== 'string' || parseVersion(bound) === undefined) {
    throw fail('FACTS_CORRUPT', `${digest}: expected the version that it was first seen under, found something else in the journal`)
  }
  if (tagged === undefined || compareVersions(bound, tagged) === 0) return bound
  throw fail('VERSION_MISMATCH', `${digest}: was first seen as ${bound}, and is now tagged ${tagged}`, {
    stage: 'verify',
    details: { bound, tagged },
  })
}
