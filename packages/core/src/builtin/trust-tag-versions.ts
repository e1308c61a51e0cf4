import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { VersionSource } from '../plugin/version-source.ts'
import { compareVersions, parseTag } from '../policy/version.ts'
import { signedVersion } from './signed-versions.ts'

/**
 * Believes the tag where no version is signed, for registries that were filled without annotations, and binds each digest to the version
 * it was first seen under, so that an old release cannot come back under a newer tag. A signed version still wins.
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
      const key = claim.root
      // A second round reads what another writer bound in between.
      for (let round = 0; round < 3; round++) {
        const bound = await state.get(key, { signal })
        if (bound !== undefined) return agreed(bound.value, tagged, claim.root)
        if (tagged === undefined) return signedVersion(claim)
        try {
          await state.put(key, tagged, { ifVersion: null, signal })
          return tagged
        } catch (error) {
          if (!isOtaError(error) || error.code !== 'JOURNAL_CONFLICT') throw error
        }
      }
      throw fail('JOURNAL_CONFLICT', `${claim.root}: expected to bind a version, found other writers each time`, { stage: 'verify' })
    },
  } satisfies VersionSource)
}

function agreed(bound: unknown, tagged: string | undefined, root: string): string {
  if (typeof bound === 'string' && (tagged === undefined || compareVersions(bound, tagged) === 0)) return bound
  throw fail('VERSION_MISMATCH', `${root}: was first seen as ${String(bound)}, and is now tagged ${tagged}`, {
    stage: 'verify',
    details: { bound: String(bound), tagged: tagged ?? null },
  })
}
