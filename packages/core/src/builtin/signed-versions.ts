import { annotations } from '../content/media-types.ts'
import { fail } from '../core-errors.ts'
import type { VersionClaim, VersionSource } from '../plugin/version-source.ts'
import { compareVersions, parseTag, parseVersion } from '../policy/version.ts'

/** Versions come from signed annotations alone, and a tag must agree: otherwise whoever can write tags makes an old release "9.9.9". */
export function signedVersions(): VersionSource {
  return Object.freeze({
    kind: 'version-source',
    name: 'signed-versions',
    spec: 0,
    version: async (claim) => signedVersion(claim),
  } satisfies VersionSource)
}

/** @throws `VERSION_NOT_SIGNED`, `VERSION_MISMATCH` */
export function signedVersion({ repository, root, tag, signed }: VersionClaim): string {
  const what = tag === undefined ? `${repository}@${root}` : `${repository}:${tag}`
  if (signed === undefined) {
    throw fail('VERSION_NOT_SIGNED', `${what}: expected the annotation ${annotations.version} in signed bytes, found none`, {
      stage: 'verify',
    })
  }
  const version = parseVersion(signed)
  if (version === undefined) {
    throw fail('VERSION_MISMATCH', `${what}: expected the signed version to be semver, found ${JSON.stringify(signed.slice(0, 100))}`, {
      stage: 'verify',
    })
  }
  const tagged = tag === undefined ? undefined : parseTag(tag)
  if (tagged !== undefined && compareVersions(tagged, version) !== 0) {
    throw fail('VERSION_MISMATCH', `${what}: the tag says ${tagged}, the signed bytes say ${version}`, {
      stage: 'verify',
      details: { tagged, signed: version },
    })
  }
  return version
}
