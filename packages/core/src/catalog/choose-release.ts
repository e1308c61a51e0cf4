import { fail } from '../core-errors.ts'
import { isOtaError, type Reason } from '../errors.ts'
import { type DeviceRecord, failedAttempts } from '../journey/device-record.ts'
import type { DeviceState } from '../plugin/device.ts'
import type { Target } from '../plugin/target.ts'
import { mayInstall } from '../policy/may-install.ts'
import type { Policy } from '../policy/policy.ts'
import { compareVersions, parseVersion } from '../policy/version.ts'
import { imageOf, type Release } from '../update/release-line.ts'
import { candidateLimit, type ReleaseCatalog, type Snapshot } from './release-catalog.ts'

/** A release that the version policy lets this device have, or why there is none. */
export type Choice = { readonly release: Release } | { readonly because: readonly Reason[] }

const nothingNewer: Choice = Object.freeze({ because: [{ code: 'UP_TO_DATE', message: 'nothing newer' }] })

/** The target that a device is of. @throws `TARGET_UNKNOWN`, `TARGET_AMBIGUOUS` */
export function targetOf(device: DeviceState, targets: readonly Target[]): Target {
  const fitting = targets.length === 1 ? targets : targets.filter((target) => target.matches(device))
  const [only] = fitting
  if (only !== undefined && fitting.length === 1) return only
  const names = (fitting.length === 0 ? targets : fitting).map(({ name }) => name).join(', ')
  const model = device.model === undefined ? 'an unknown model' : `model ${device.model}`
  if (only === undefined) throw fail('TARGET_UNKNOWN', `device ${device.id}: expected a target for ${model}, found ${names}`)
  throw fail('TARGET_AMBIGUOUS', `device ${device.id}: expected one target for ${model}, found ${names}; the device must say its model`)
}

/** The repository of a device: the template with `{device}` and `{model}` filled in. @throws `REPOSITORY_UNNAMEABLE` */
export function repositoryOf(template: string, { id, model }: DeviceState): string {
  if (!template.includes('{')) return template
  return template.replace(/\{(device|model)\}/g, (_, name: string) => {
    const value = name === 'device' ? id : model
    // OCI distribution spec, pulling manifests: the grammar of one path component. A ":" or "@" would smuggle in a tag or digest.
    if (value !== undefined && /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/.test(value)) return value
    throw fail(
      'REPOSITORY_UNNAMEABLE',
      `expected a {${name}} of lower case letters, digits and single . _ -, found ${value === undefined ? 'none' : JSON.stringify(value)}`,
    )
  })
}

/** True where no version of the snapshot is newer: the answer to nearly every check-in, and it needs no release. */
export function upToDate(snapshot: Snapshot, { installed }: DeviceState): boolean {
  const highest = snapshot.tags[0]
  if (installed === undefined) return false
  if (highest === undefined) return true
  if (highest.version === installed.version) return true
  return parseVersion(installed.version) !== undefined && compareVersions(highest.version, installed.version) <= 0
}

/**
 * Walks the versions from the highest down to the first that verifies and that this device may go to: a junk tag above does not stop the
 * fleet, and a floor leads to the version that must come between. What was passed over is told.
 */
export async function chooseRelease(
  device: DeviceState,
  record: DeviceRecord,
  options: {
    readonly snapshot: Snapshot
    readonly repository: string
    readonly target: Target
    readonly catalog: ReleaseCatalog
    readonly policy: Policy
    readonly signal: AbortSignal
    /** A reason of the device's own against a release, such as its plan. */
    readonly refuses: (release: Release) => readonly Reason[]
  },
): Promise<Choice> {
  const { snapshot, repository, target, catalog, policy, signal } = options
  if (snapshot.tags.length === 0)
    return { because: [{ code: 'NO_RELEASE', message: `${repository} has no version in channel ${policy.channel}` }] }
  const because: Reason[] = []
  const platforms = target.platforms(device)
  const readable = device.installed !== undefined && parseVersion(device.installed.version) !== undefined
  for (const [index, { tag, version }] of snapshot.tags.entries()) {
    if (readable && compareVersions(version, device.installed?.version ?? version) <= 0) break
    if (index === candidateLimit) {
      because.push({ code: 'TOO_MANY_CANDIDATES', message: `looked at the ${candidateLimit} highest versions` })
      break
    }
    try {
      const made = catalog.release(repository, tag, platforms, target, signal)
      const release = made instanceof Promise ? await made : made
      const reasons = reasonsAgainst(release, device, record, policy, options.refuses)
      if (reasons.length === 0) return { release }
      because.push(...reasons)
    } catch (error) {
      if (!isOtaError(error) || error.fault === 'internal' || error.fault === 'aborted') throw error
      because.push(...error.because.map(({ code, message }) => ({ code: code === error.code ? code : `${error.code}/${code}`, message })))
      // Fail closed: what cannot be reached now may be the better release in a moment.
      if (error.fault === 'unavailable') break
    }
  }
  return because.length === 0 ? nothingNewer : { because }
}

function reasonsAgainst(
  release: Release,
  device: DeviceState,
  record: DeviceRecord,
  policy: Policy,
  refuses: (release: Release) => readonly Reason[],
): readonly Reason[] {
  const reasons = mayInstall(release.held.verified, device.installed)
  if (reasons.length > 0) return reasons
  const failed = failedAttempts(record, imageOf(release).image.descriptor.digest)
  if (failed >= policy.attempts) {
    return [{ code: 'ATTEMPTS_EXHAUSTED', message: `${release.held.verified.version} has failed ${failed} times on this device` }]
  }
  return refuses(release)
}
