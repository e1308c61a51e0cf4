import semver, { type SemVer } from 'semver'
import { fail } from '../core-errors.ts'

/** A tag that names a version. */
export interface EligibleTag {
  readonly tag: string
  /** The version in its canonical form, build metadata included. */
  readonly version: string
  /** Another version of the list has the same precedence and differs in build metadata: which of them is newer, nobody can say. */
  readonly ambiguous?: true
}

/** A repository with more tags is a flood, not a history; reading them all would hold up everybody. */
export const tagLimit = 100_000
/** Characters of a tag. OCI distribution spec, pulling manifests. */
const tagLength = 128
/** Characters of a version or a range; the limit of the semver package. */
const textLength = 256

/**
 * A version in canonical form, such as `1.2.3-rc.1+build`, or undefined. Semver 2.0.0 to the letter: no `v`, no blanks, no partial
 * versions, no leading zeros; and no number above 2^53-1, beyond which two numbers cannot be told apart.
 */
export function parseVersion(text: string): string | undefined {
  return read(text) === undefined ? undefined : text
}

/**
 * The version that a tag names, or undefined: `1.2.3`, `v1.2.3` or `V1.2.3`, and `1.2.3_build` for `1.2.3+build`, which a tag cannot hold.
 * Everything else (`latest`, `1.2`, `sha256-….sig`) names none.
 */
export function parseTag(tag: string): string | undefined {
  if (tag.length > tagLength) return undefined
  return parseVersion(tag.replace(/^[vV]/, '').replace('_', '+'))
}

/**
 * Precedence by semver 2.0.0, section 11: build metadata does not count.
 * @throws `INVALID_VERSION`
 */
export function compareVersions(a: string, b: string): -1 | 0 | 1 {
  return semver.compare(readOrFail(a), readOrFail(b))
}

/** Whether a text can be a floor: a semver range as npm writes them. An empty one would admit everything, which must be said (`*`). */
export function isRange(text: string): boolean {
  return text.length <= textLength && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) && semver.validRange(text) !== null
}

/**
 * Whether an installed version lies in the range that a release names as its floor; false where either cannot be read. Precedence alone
 * decides, also for pre-releases: `^1.2.0` admits 1.3.0-beta.1, and neither 1.2.0-beta.1, which is older, nor 2.0.0-beta.1.
 */
export function mayUpdateFrom(range: string, installed: string): boolean {
  const version = read(installed)
  if (version === undefined || !isRange(range)) return false
  // The package's own `satisfies` drops pre-releases, or with `includePrerelease` moves the lower end of `^0.2.0` below 0.2.0.
  return new semver.Range(range).set.some((comparators) => comparators.every((comparator) => comparator.test(version)))
}

/**
 * Whether a channel takes a version: `stable` takes no pre-release; any other takes what `stable` takes and the pre-releases whose first
 * identifier is its name, so that `beta` takes 1.3.0-beta.1 and neither 1.3.0-alpha.1 nor 1.3.0-beta1.
 */
export function inChannel(version: string, channel: string): boolean {
  const parsed = read(version)
  return parsed !== undefined && takes(channel, parsed)
}

/**
 * The tags that name a version of this channel, highest first. Of several tags for one version the plainest stands for it: `1.2.3`, else
 * `v1.2.3`, else `V1.2.3`. Versions of equal precedence that differ in build metadata all stay, in descending code unit order, marked.
 * @throws `TOO_MANY_TAGS` where there are more tags than a history has: which of them are the newest cannot be told from a part.
 */
export function eligibleTags(tags: readonly string[], { channel }: { readonly channel: string }): readonly EligibleTag[] {
  if (tags.length > tagLimit)
    throw fail('TOO_MANY_TAGS', `expected at most ${tagLimit} tags, found ${tags.length}; the limit is fixed: remove old tags`)
  const byVersion = new Map<string, { readonly tag: string; readonly version: string; readonly parsed: SemVer }>()
  for (const tag of tags) {
    const version = parseTag(tag)
    const parsed = version === undefined ? undefined : read(version)
    if (version === undefined || parsed === undefined || !takes(channel, parsed)) continue
    const known = byVersion.get(version)
    if (known === undefined || plainness(tag) > plainness(known.tag)) byVersion.set(version, { tag, version, parsed })
  }
  const sorted = [...byVersion.values()].sort((a, b) => semver.compare(b.parsed, a.parsed) || (a.version < b.version ? 1 : -1))
  return sorted.map(({ tag, version, parsed }, index) => {
    const ambiguous = [sorted[index - 1], sorted[index + 1]].some(
      (other) => other !== undefined && semver.compare(other.parsed, parsed) === 0,
    )
    return { tag, version, ...(ambiguous ? { ambiguous } : {}) }
  })
}

function plainness(tag: string): number {
  return tag.startsWith('V') ? 0 : tag.startsWith('v') ? 1 : 2
}

function takes(channel: string, { prerelease: [first] }: SemVer): boolean {
  return first === undefined || (channel !== 'stable' && String(first) === channel)
}

function read(text: string): SemVer | undefined {
  // The package throws and catches an error for what is no version: most tags of some repositories.
  if (typeof text !== 'string' || text.length > textLength || !/^[0-9]+\.[0-9]+\.[0-9]/.test(text)) return undefined
  const parsed = semver.parse(text)
  if (parsed === null) return undefined
  const build = parsed.build.length === 0 ? '' : `+${parsed.build.join('.')}`
  // What is not its own canonical form has a `v`, a `=` or blanks.
  if (`${parsed.version}${build}` !== text) return undefined
  // The package leaves identifiers above 2^53-1 as text and then compares them as inexact numbers.
  return parsed.prerelease.some((identifier) => typeof identifier === 'string' && /^[0-9]+$/.test(identifier)) ? undefined : parsed
}

function readOrFail(text: string): SemVer {
  const parsed = read(text)
  if (parsed !== undefined) return parsed
  throw fail('INVALID_VERSION', `expected a version by semver 2.0.0 such as 1.2.3, found ${JSON.stringify(String(text).slice(0, 100))}`)
}
