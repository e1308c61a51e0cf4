import { fail } from '../core-errors.ts'
import type { Descriptor, Platform } from './descriptor.ts'
import { formatPlatform, samePlatform } from './platform.ts'

/** Enough candidates to see what is wrong; a hostile index may list thousands. */
const candidatesShown = 20

/**
 * The one manifest of an index that runs on a device: the first of `wanted` (best first) that the index has. Matching is exact in os,
 * architecture and variant; what may stand in for what is the target's to say, by naming fallbacks. With nothing wanted the index must
 * hold a single image. Attestations (`unknown/unknown`) are no candidates.
 * OCI image spec, image-index.md.
 * @throws `PLATFORM_NOT_FOUND` with the candidates; `PLATFORM_AMBIGUOUS` where more than one manifest fits, never choosing "the first"
 */
export function choosePlatform(index: { readonly manifests: readonly Descriptor[] }, wanted: readonly Platform[]): Descriptor {
  const candidates = distinct(index.manifests.filter((entry) => !isAttestation(entry)))
  if (wanted.length === 0) {
    if (candidates.length > 1) {
      throw refuse('PLATFORM_AMBIGUOUS', `expected a platform to choose by, found none and ${candidates.length} manifests`, candidates)
    }
    if (candidates[0] !== undefined) return candidates[0]
  }
  for (const platform of wanted) {
    const fitting = candidates.filter((entry) => entry.platform !== undefined && samePlatform(entry.platform, platform))
    if (fitting.length > 1) {
      const digests = fitting.map(({ digest }) => digest).slice(0, candidatesShown)
      throw refuse('PLATFORM_AMBIGUOUS', `expected one manifest for ${formatPlatform(platform)}, found ${digests.join(' and ')}`, fitting)
    }
    if (fitting[0] !== undefined) return fitting[0]
  }
  const names = wanted.length === 0 ? 'a manifest' : `a manifest for ${wanted.map(formatPlatform).join(' or ')}`
  throw refuse('PLATFORM_NOT_FOUND', `expected ${names}, found none in the index`, candidates)
}

/** The same manifest listed twice for the same platform is one candidate. */
function distinct(entries: readonly Descriptor[]): readonly Descriptor[] {
  const seen = new Map<string, Descriptor>()
  for (const entry of entries) {
    const key = `${entry.platform === undefined ? '' : formatPlatform(entry.platform)} ${entry.digest}`
    if (!seen.has(key)) seen.set(key, entry)
  }
  return [...seen.values()]
}

/** BuildKit stores provenance beside the images under this platform, so that no machine ever matches it. */
function isAttestation({ platform }: Descriptor): boolean {
  return platform?.os === 'unknown' && platform.architecture === 'unknown'
}

function refuse(code: 'PLATFORM_NOT_FOUND' | 'PLATFORM_AMBIGUOUS', message: string, candidates: readonly Descriptor[]): Error {
  const names = [...new Set(candidates.map(({ platform }) => (platform === undefined ? '(no platform)' : formatPlatform(platform))))]
  const shown = names.slice(0, candidatesShown).map((name) => (name.length > 200 ? `${name.slice(0, 200)}…` : name))
  const rest = names.length > shown.length ? ` and ${names.length - shown.length} more` : ''
  return fail(code, `${message}; candidates: ${shown.length === 0 ? 'none' : `${shown.join(', ')}${rest}`}`, {
    details: { candidates: shown },
  })
}
