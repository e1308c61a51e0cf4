import { annotations } from '../content/media-types.ts'
import { fail } from '../core-errors.ts'
import type { VersionClaim, VersionSource } from '../plugin/version-source.ts'
import { compareVersions, parseTag, parseVersion } from '../policy/version.ts'
import { quoted } from '../update/quoted.ts'

/** Versions come from signed annotations alone, and a tag must agree: otherwise whoever can write tags makes an old release "9.9.9". */
export function signedVersions(): VersionSource {
  return Object.freeze({
    kind: 'version-source',
    name: 'signed-versions',
    spec: 0,
    version: async (claim) => signedVersion(claim),
  } satisfies VersionSource)
}

/**
 * The signed version, which the tag must agree with where it names one.
 * @throws `VERSION_NOT_SIGNED`, `VERSION_MISMATCH` (rejected)
 */
export function signedVersion({ repository, root, tag, signed }: VersionClaim): string {
  const what = tag === undefined ? `${repository}@${root}` : `${repository}:${tag}`
  if (signed === undefined) {
    throw fail('VERSION_NOT_SIGNED', `${what}: expected the annotation ${annotations.version} in signed bytes, found none`, {
      stage: 'verify',
    })
  }
  const version = parseVersion(signed)
  if (version === undefined) {
    throw fail('VERSION_MISMATCH', `${what}: expected the signed version to be semver, found ${quoted(signed)}`, {
      stage: 'verify',
    })
  }
  const tagged = tag === undefined ? undefined : parseTag(tag)
  // A tag that names a build names that one; a tag without one names any build of its version.
  const same = tagged === undefined || (tagged.includes('+') ? tagged === version : compareVersions(tagged, version) === 0)
  if (!same) {
    throw fail('VERSION_MISMATCH', `${what}: the tag says ${tagged}, the signed bytes say ${version}`, {
      stage: 'verify',
      details: { tagged: tagged ?? null, signed: version },
    })
  }
  return version
}
