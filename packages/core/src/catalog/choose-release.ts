import { isOtaError, type OtaError, type Reason } from '../errors.ts'
import { type DeviceRecord, failedAttempts } from '../journey/device-record.ts'
import type { DeviceState } from '../plugin/device.ts'
import type { Target } from '../plugin/target.ts'
import { deviceRefusal } from '../policy/may-install.ts'
import type { Policy } from '../policy/policy.ts'
import { compareVersions, parseVersion } from '../policy/version.ts'
import type { Planned } from '../update/device-line.ts'
import { imageOf, type Release } from '../update/release-line.ts'
import type { ReleaseCatalog } from './release-catalog.ts'
import { candidateLimit, type Snapshot } from './tag-shelves.ts'

/** The plan of the release that a device gets; or why there is none, and whether that may change with the next attempt. */
export type Choice =
  | { readonly planned: Planned }
  | { readonly planned?: never; readonly because: readonly Reason[]; readonly undecided?: OtaError }

export interface ChoiceOptions {
  readonly snapshot: Snapshot
  readonly repository: string
  readonly target: Target
  readonly catalog: Pick<ReleaseCatalog, 'release'>
  readonly policy: Pick<Policy, 'attempts' | 'channel'>
  /** Milliseconds for the whole walk. */
  readonly prepareMs: number
  readonly signal: AbortSignal
  /** @throws `PLAN_REFUSED` */
  readonly plan: (release: Release) => Planned
}

/** True where no version of the snapshot is newer: the answer to nearly every check-in, and it needs no release. */
export function upToDate({ tags }: Snapshot, { installed }: Pick<DeviceState, 'installed'>): boolean {
  if (installed === undefined) return false
  const highest = tags[0]
  if (highest === undefined || highest.version === installed.version) return true
  return parseVersion(installed.version) !== undefined && compareVersions(highest.version, installed.version) <= 0
}

/**
 * Walks the versions from the highest down to the first that verifies and that this device may go to: a junk tag above does not stop the
 * fleet, and a floor leads to the version that must come between. What was passed over is told.
 */
export async function chooseRelease(device: DeviceState, record: DeviceRecord, options: ChoiceOptions): Promise<Choice> {
  const { snapshot, repository, target, catalog, policy, signal } = options
  const { installed } = device
  if (snapshot.tags.length === 0)
    return { because: [{ code: 'NO_RELEASE', message: `${repository} has no version in channel ${policy.channel}` }] }
  // What speaks against every release needs no look at any of them.
  const refusal = deviceRefusal(installed)
  if (refusal !== undefined) return { because: [refusal] }
  const because: Reason[] = []
  const platforms = target.platforms(device)
  const deadline = performance.now() + options.prepareMs
  for (const [index, { tag, version }] of snapshot.tags.entries()) {
    if (installed !== undefined && compareVersions(version, installed.version) <= 0) break
    if (index === candidateLimit) {
      because.push({ code: 'TOO_MANY_CANDIDATES', message: `looked at the ${candidateLimit} highest versions` })
      break
    }
    try {
      const made = catalog.release(repository, tag, platforms, target, signal, Math.max(1, deadline - performance.now()))
      const release = made instanceof Promise ? await made : made
      const exhausted = attemptsExhausted(release, record, policy)
      if (exhausted === undefined) return { planned: options.plan(release) }
      because.push(exhausted)
    } catch (error) {
      if (!isOtaError(error) || error.fault === 'aborted') throw error
      because.push(...told(error))
      // Fail closed: what cannot be reached now may be the better release in a moment.
      if (error.fault === 'unavailable') return { because, undecided: error }
    }
  }
  return { because: because.length === 0 ? [{ code: 'UP_TO_DATE', message: 'nothing newer' }] : because }
}

function attemptsExhausted(release: Release, record: DeviceRecord, { attempts }: Pick<Policy, 'attempts'>): Reason | undefined {
  const failed = failedAttempts(record, imageOf(release).image.descriptor.digest)
  if (failed < attempts) return undefined
  return { code: 'ATTEMPTS_EXHAUSTED', message: `${release.held.verified.version} has failed ${failed} times on this device` }
}

// A plan's reasons speak for themselves; others are told with the code that they led to.
function told({ code, because }: OtaError): readonly Reason[] {
  return because.map((reason) => ({
    code: reason.code === code || code === 'PLAN_REFUSED' ? reason.code : `${code}/${reason.code}`,
    message: reason.message,
  }))
}
