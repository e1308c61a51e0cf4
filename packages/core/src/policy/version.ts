import semver from 'semver'

/** A tag that names a version. */
export interface EligibleTag {
  readonly tag: string
  /** The version in its canonical form, build metadata included. */
  readonly version: string
}

/** More tags than this are not looked at: a repository with more is a flood, not a history. */
const tagLimit = 100_000

/** OCI distribution spec: a tag has at most 128 characters. */
const tagLength = 128

/** A version in canonical form (`1.2.3-rc.1+build`), or undefined. Strict: no `v`, no blanks, no partial versions. */
export function parseVersion(text: string): string | undefined {
  if (text.length > 256 || !/^[0-9]/.test(text)) return undefined
  const parsed = semver.parse(text)
  if (parsed === null) return undefined
  return parsed.build.length > 0 ? `${parsed.version}+${parsed.build.join('.')}` : parsed.version
}

/** The version that a tag names: `1.2.3`, `v1.2.3`, and `1.2.3_build` for `1.2.3+build` (tags cannot hold a `+`). */
export function parseTag(tag: string): string | undefined {
  if (tag.length > tagLength) return undefined
  const bare = tag.replace(/^[vV]/, '')
  return parseVersion(bare) ?? (bare.includes('_') ? parseVersion(bare.replace('_', '+')) : undefined)
}

/** Precedence by semver 2.0.0 section 11: build metadata does not count. Both must be versions. */
export function compareVersions(a: string, b: string): -1 | 0 | 1 {
  return semver.compare(a, b)
}

/** Whether an installed version lies in the range that a release names as its floor. Pre-releases of a version in the range count. */
export function mayUpdateFrom(range: string, installed: string): boolean {
  return semver.satisfies(installed, range, { includePrerelease: true })
}

export function isRange(text: string): boolean {
  return text.length <= 256 && semver.validRange(text) !== null
}

/** `stable` admits no pre-release; another channel admits stable versions and the pre-releases whose first identifier is its name. */
export function inChannel(version: string, channel: string): boolean {
  const first = semver.prerelease(version)?.[0]
  return first === undefined || (channel !== 'stable' && String(first) === channel)
}

/** The tags that name a version of this channel, highest first; of equal ones the exact tag (`1.2.3` before `v1.2.3`) alone. */
export function eligibleTags(tags: readonly string[], { channel }: { readonly channel: string }): readonly EligibleTag[] {
  const byVersion = new Map<string, EligibleTag>()
  for (const tag of tags.slice(0, tagLimit)) {
    const version = parseTag(tag)
    if (version === undefined || !inChannel(version, channel)) continue
    const known = byVersion.get(version)
    if (known === undefined || exactness(tag, version) > exactness(known.tag, version)) byVersion.set(version, { tag, version })
  }
  return [...byVersion.values()].sort((a, b) => compareVersions(b.version, a.version) || (a.version < b.version ? 1 : -1))
}

function exactness(tag: string, version: string): number {
  if (tag === version) return 2
  return tag.startsWith('v') ? 1 : 0
}
