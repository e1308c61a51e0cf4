import type { Reason, Stage } from '../errors.ts'
import type { Resumed } from '../resume.ts'
import { type ConfirmPolicy, confirm } from '../update/confirm.ts'
import { deliver } from '../update/deliver.ts'
import { install } from '../update/install.ts'
import type { Observation, Verdict } from '../update/observation.ts'
import { closed, type DeviceRecord, type OpenUpdate, type StoredObservation } from './device-record.ts'

/** What one room said. */
export interface Step {
  readonly stage: Extract<Stage, 'deliver' | 'install' | 'confirm'>
  readonly is: Verdict<unknown>['is']
  readonly because: readonly Reason[]
}

/** Takes one observation from where an update stands through as many rooms as it passes; the last step is where it stops. Pure. */
export function advance(from: Resumed, observed: Observation, policy: ConfirmPolicy, now: Date): readonly Step[] {
  const steps: Step[] = []
  const judge = <P>(stage: Step['stage'], verdict: Verdict<P>): P | undefined => {
    steps.push({ stage, is: verdict.is, because: verdict.is === 'passed' ? [] : verdict.because })
    return verdict.is === 'passed' ? verdict.proof : undefined
  }
  const delivered =
    from.stage === 'plan' ? judge('deliver', deliver(from.proof, observed)) : from.stage === 'deliver' ? from.proof : undefined
  const installed =
    delivered !== undefined ? judge('install', install(delivered, observed)) : from.stage === 'install' ? from.proof : undefined
  if (installed !== undefined) judge('confirm', confirm(installed, observed, policy, now))
  return steps
}

/** The record after these steps. */
export function recorded(record: DeviceRecord, observed: Observation, steps: readonly Step[], now: Date): DeviceRecord {
  let { open } = record
  if (open === undefined) return record
  for (const { stage, is, because } of steps) {
    if (is === 'failed' || is === 'unobserved') return closed({ ...record, open }, is, because, now)
    if (is === 'waiting') break
    if (stage === 'confirm') return closed({ ...record, open }, 'confirmed', [], now)
    open = passed(open, stage, observed, now)
  }
  return { ...record, open: observed.by === 'report' ? { ...open, told: observed.report } : open }
}

function passed(open: OpenUpdate, stage: 'deliver' | 'install', observed: Observation, now: Date): OpenUpdate {
  return { ...open, stage, since: now.toISOString(), observations: [...open.observations, observed as StoredObservation] }
}
