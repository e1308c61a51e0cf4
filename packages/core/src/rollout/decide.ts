import type { Reason } from '../errors.ts'
import { positionOf, selects } from '../plugin/fleet-rules.ts'
import type { Deployment, FleetDevice } from '../plugin/fleet-store.ts'
import { compareVersions, parseVersion } from '../policy/version.ts'
import { startOf } from './cohort.ts'

/** What the deployments say of one device: `take` may be offered the release, `current` runs it already, `hold` must wait. */
export type Decision =
  | { readonly is: 'take'; readonly deployment: Deployment; readonly because: readonly Reason[] }
  | { readonly is: 'current'; readonly deployment: Deployment; readonly counts: boolean; readonly because: readonly Reason[] }
  | { readonly is: 'hold'; readonly deployment?: Deployment; readonly because: readonly Reason[] }

/** The deployment that governs a device: the youngest open one that selects it. `open` has the youngest first. */
export function governing(device: Pick<FleetDevice, 'model' | 'labels'>, open: readonly Deployment[]): Deployment | undefined {
  return open.find(({ selector }) => selects(selector, device))
}

/** Decides for one device, as far as it can be known without taking a place. Pure. */
export function decide(device: Pick<FleetDevice, 'model' | 'labels' | 'bucket' | 'installed'>, open: readonly Deployment[]): Decision {
  const deployment = governing(device, open)
  if (deployment === undefined) return held('NO_DEPLOYMENT', 'no open deployment selects this device')
  const { id, release, state, wave, bound, waves, because } = deployment
  const covered = wave > 0 && positionOf(device.bucket, startKnown(deployment)) <= bound
  if (runs(device.installed, release.version)) {
    const message = `deployment ${id} brings ${release.version}, and the device runs ${device.installed}`
    // Only a device of the open wave has a place to give up.
    return { is: 'current', deployment, counts: covered && state === 'running', because: [{ code: 'UP_TO_DATE', message }] }
  }
  if (state === 'paused') return { ...held('DEPLOYMENT_PAUSED', `deployment ${id} is paused`, because), deployment }
  if (wave === 0) return { ...held('WAVE_NOT_STARTED', `deployment ${id} has not begun its first wave`), deployment }
  if (!covered) {
    const message = `deployment ${id} is in wave ${wave} of ${waves.length} (${waves[wave - 1]} %); this device belongs to a later one`
    return { ...held('LATER_WAVE', message), deployment }
  }
  const message = `deployment ${id}, wave ${wave} of ${waves.length}, brings ${release.version}`
  return { is: 'take', deployment, because: [{ code: 'IN_WAVE', message }] }
}

function held(code: string, message: string, more: readonly Reason[] = []): Decision & { readonly is: 'hold' } {
  return { is: 'hold', because: [{ code, message }, ...more] }
}

function runs(installed: string | undefined, version: string): boolean {
  if (installed === undefined) return false
  return installed === version || (parseVersion(installed) !== undefined && compareVersions(installed, version) >= 0)
}

const starts = new WeakMap<Deployment, number>()

// A hash for each check-in of an idle fleet would be most of what deciding costs.
function startKnown(deployment: Deployment): number {
  let start = starts.get(deployment)
  if (start === undefined) {
    start = startOf(deployment.id)
    starts.set(deployment, start)
  }
  return start
}
