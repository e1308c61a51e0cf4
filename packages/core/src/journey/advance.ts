import type { Reason, Stage } from '../errors.ts'
import type { Resumed } from '../resume.ts'
import { type ConfirmPolicy, confirm } from '../update/confirm.ts'
import { deliver } from '../update/deliver.ts'
import { install } from '../update/install.ts'
import type { Observation, Report, Verdict } from '../update/observation.ts'
import { closed, type DeviceRecord, type OpenUpdate, type StoredObservation } from './device-record.ts'

/** What one room said. */
export interface Step {
  readonly stage: Extract<Stage, 'deliver' | 'install' | 'confirm'>
  readonly is: Verdict<unknown>['is']
  readonly because: readonly Reason[]
}

/** A report that says nothing new is stored this often: that a device is still at work is a fact too. */
const heardAgainMs = 60_000

/**
 * Takes one observation from where an update stands through as many rooms as it passes; the last step is where it stops. A read-back passes
 * one room at most: that bytes lie in a slot does not say that the slot will be booted. Pure.
 */
export function advance(from: Resumed, observed: Observation, policy: ConfirmPolicy, now: Date): readonly Step[] {
  const steps: Step[] = []
  const judge = <P>(stage: Step['stage'], verdict: Verdict<P>): P | undefined => {
    steps.push({ stage, is: verdict.is, because: verdict.is === 'passed' ? [] : verdict.because })
    return verdict.is === 'passed' && observed.by !== 'read-back' ? verdict.proof : undefined
  }
  const delivered =
    from.stage === 'plan' ? judge('deliver', deliver(from.proof, observed)) : from.stage === 'deliver' ? from.proof : undefined
  const installed =
    delivered !== undefined ? judge('install', install(delivered, observed)) : from.stage === 'install' ? from.proof : undefined
  if (installed !== undefined) judge('confirm', confirm(installed, observed, policy, now))
  return steps
}

/** The record after these steps; the very same one where nothing in it has changed. */
export function recorded(record: DeviceRecord, observed: Observation, steps: readonly Step[], now: Date): DeviceRecord {
  let { open } = record
  if (open === undefined) return record
  for (const { stage, is, because } of steps) {
    // What never reports is not tried in vain: nobody can tell.
    if (is === 'failed' || is === 'unobserved') return closed({ ...record, open }, is, because, now, is === 'failed' || open.reports)
    if (is === 'waiting') break
    if (stage === 'confirm') return closed({ ...record, open }, 'confirmed', [], now, true, observed.by === 'evidence')
    open = passed(open, stage, observed, now)
  }
  if (observed.by === 'report') open = heard(refused(open, observed.report), observed.report, now)
  return open === record.open ? record : { ...record, open }
}

function passed(open: OpenUpdate, stage: 'deliver' | 'install', observed: Observation, now: Date): OpenUpdate {
  return { ...open, stage, since: now.toISOString(), observations: [...open.observations, observed as StoredObservation] }
}

function refused(open: OpenUpdate, { state }: Report): OpenUpdate {
  return state === 'cancel-refused' && open.cancel !== undefined ? { ...open, cancel: { ...open.cancel, refused: true } } : open
}

// A download reports its progress every second: that is worth no write to a disk.
function heard(open: OpenUpdate, told: Report, now: Date): OpenUpdate {
  const same = open.told !== undefined && withoutProgress(open.told) === withoutProgress(told)
  const sinceMs = open.heard === undefined ? Number.POSITIVE_INFINITY : now.getTime() - Date.parse(open.heard)
  return same && sinceMs >= 0 && sinceMs < heardAgainMs ? open : { ...open, told, heard: now.toISOString() }
}

function withoutProgress({ received: _, ...rest }: Report): string {
  return JSON.stringify(rest)
}
