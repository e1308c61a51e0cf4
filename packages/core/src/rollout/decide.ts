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
  if (deployment === undefined) return nothing
  const { state, wave, bound } = deployment
  const known = answersOf(deployment)
  const covered = wave > 0 && positionOf(device.bucket, known.start) <= bound
  if (known.runs(device.installed)) {
    // Only a device of the open wave has a place to give up.
    return covered && state === 'running' ? known.currentCounted : known.current
  }
  if (state === 'paused') return known.paused
  if (wave === 0) return known.notStarted
  return covered ? known.take : known.later
}

const nothing: Decision = held('NO_DEPLOYMENT', 'no open deployment selects this device')

/** What a deployment answers, made once: an idle fleet is told the same with each check-in, and composing it would be most of what that costs. */
interface Answers {
  readonly start: number
  runs(installed: string | undefined): boolean
  readonly current: Decision
  readonly currentCounted: Decision
  readonly paused: Decision
  readonly notStarted: Decision
  readonly later: Decision
  readonly take: Decision
}

const answers = new WeakMap<Deployment, Answers>()
/** Versions that are compared once; a fleet runs a handful. */
const keptVersions = 1_000

function answersOf(deployment: Deployment): Answers {
  const known = answers.get(deployment)
  if (known !== undefined) return known
  const { id, release, wave, waves, because } = deployment
  const { version } = release
  const current = (counts: boolean): Decision => {
    const message = `deployment ${id} brings ${version}, and the device runs that or a newer one`
    return Object.freeze({ is: 'current', deployment, counts, because: reasons('UP_TO_DATE', message) })
  }
  const take = `deployment ${id}, wave ${wave} of ${waves.length}, brings ${version}`
  const later = `deployment ${id} is in wave ${wave} of ${waves.length} (${waves[wave - 1]} %); this device belongs to a later one`
  const made: Answers = {
    start: startOf(id),
    runs: comparedWith(version),
    current: current(false),
    currentCounted: current(true),
    paused: held('DEPLOYMENT_PAUSED', `deployment ${id} is paused`, deployment, because),
    notStarted: held('WAVE_NOT_STARTED', `deployment ${id} has not begun its first wave`, deployment),
    later: held('LATER_WAVE', later, deployment),
    take: Object.freeze({ is: 'take', deployment, because: reasons('IN_WAVE', take) }),
  }
  answers.set(deployment, made)
  return made
}

function held(code: string, message: string, deployment?: Deployment, more: readonly Reason[] = []): Decision {
  const because = reasons(code, message, more)
  return Object.freeze<Decision>(deployment === undefined ? { is: 'hold', because } : { is: 'hold', deployment, because })
}

function reasons(code: string, message: string, more: readonly Reason[] = []): readonly Reason[] {
  return Object.freeze([Object.freeze({ code, message }), ...more])
}

function comparedWith(version: string): (installed: string | undefined) => boolean {
  const compared = new Map<string, boolean>()
  return (installed) => {
    if (installed === undefined) return false
    const known = compared.get(installed)
    if (known !== undefined) return known
    const runs = installed === version || (parseVersion(installed) !== undefined && compareVersions(installed, version) >= 0)
    if (compared.size < keptVersions) compared.set(installed, runs)
    return runs
  }
}
