import type { Reason } from '../errors.ts'
import type { Installed } from '../plugin/device.ts'
import { quoted } from '../update/quoted.ts'
import { compareVersions, mayUpdateFrom, parseVersion } from './version.ts'

/** What a signed release says of itself. */
export interface ReleaseFacts {
  readonly version: string
  readonly from?: string
}

/** Why no release at all may follow what a device runs: it cannot be compared, or is on trial itself. */
export function deviceRefusal(installed: Installed | undefined): Reason | undefined {
  if (installed === undefined) return undefined
  if (parseVersion(installed.version) === undefined) {
    return { code: 'VERSION_UNREADABLE', message: `expected the installed version to be semver, found ${quoted(installed.version)}` }
  }
  if (installed.state !== 'pending') return undefined
  return { code: 'PENDING_CONFIRMATION', message: `${installed.version} is not confirmed yet` }
}

/** Every reason why a release may not follow what a device runs; empty where it may. A device that says nothing may take anything. */
export function mayInstall(release: ReleaseFacts, installed: Installed | undefined): readonly Reason[] {
  const refusal = deviceRefusal(installed)
  if (installed === undefined) return []
  if (refusal?.code === 'VERSION_UNREADABLE') return [refusal]
  const reasons: Reason[] = []
  const order = compareVersions(release.version, installed.version)
  if (order === 0) reasons.push({ code: 'ALREADY_INSTALLED', message: `${installed.version} is already installed` })
  if (order < 0) reasons.push({ code: 'DOWNGRADE', message: `${release.version} is older than the installed ${installed.version}` })
  if (order > 0 && release.from !== undefined && !mayUpdateFrom(release.from, installed.version)) {
    reasons.push({
      code: 'FLOOR_NOT_REACHED',
      message: `${release.version} may be installed only from ${release.from}, and ${installed.version} is installed`,
    })
  }
  return refusal === undefined ? reasons : [...reasons, refusal]
}
