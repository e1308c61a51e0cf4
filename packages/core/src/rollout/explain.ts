import type { Reason } from '../errors.ts'
import type { OpenUpdate } from '../journey/device-record.ts'
import { placesTaken, tooManyFail } from '../plugin/fleet-rules.ts'
import type { Awaited, Deployment, FleetDevice, FleetUpdate } from '../plugin/fleet-store.ts'
import { decide } from './decide.ts'
import { failureReason, leftPlaces } from './health.ts'
import { reconcile } from './reconcile.ts'

/** Why a device is offered something at its next check-in, or nothing. */
export interface Explanation {
  readonly device: FleetDevice
  /** The deployment that governs it. */
  readonly deployment?: string
  /** Its update in that deployment. */
  readonly update?: FleetUpdate
  /** As far as it can be told without asking the device. */
  readonly offered: boolean
  readonly because: readonly Reason[]
}

/** Puts together what is known of a device: what the deployments say, what became of its update, and what is open. Pure. */
export function explain(
  device: FleetDevice,
  open: readonly Deployment[],
  update: FleetUpdate | undefined,
  journey: OpenUpdate | undefined,
): Explanation {
  const decision = decide(device, open)
  const { deployment } = decision
  const facts = { device, ...(deployment === undefined ? {} : { deployment: deployment.id }), ...(update === undefined ? {} : { update }) }
  const under = journey === undefined ? [] : [underWay(journey)]
  if (decision.is !== 'take') return { ...facts, offered: false, because: [...under, ...decision.because] }
  if (update !== undefined && update.state !== 'offered' && update.state !== 'withdrawn') {
    const message = `its update in deployment ${update.deployment} has ended as ${update.state}`
    return { ...facts, offered: false, because: [...under, { code: 'UPDATE_ENDED', message }, ...update.because] }
  }
  if (tooManyFail(decision.deployment)) return { ...facts, offered: false, because: [...under, failureReason(decision.deployment)] }
  if (update === undefined && placesTaken(decision.deployment.counters) >= decision.deployment.size) {
    const message = `deployment ${decision.deployment.id}: every place of the open wave is taken`
    return { ...facts, offered: false, because: [...under, { code: 'WAVE_FULL', message }] }
  }
  return { ...facts, offered: true, because: [...under, ...decision.because] }
}

function underWay({ seq, version, stage, since }: OpenUpdate): Reason {
  return { code: 'UNDER_WAY', message: `offer ${seq} of ${version} has passed "${stage}" since ${since}` }
}

/** Why a running deployment stays as it is, and who is missing; empty where it is about to move. Pure. */
export function waitsFor(deployment: Deployment, awaited: Awaited, now: Date): readonly Reason[] {
  const { id, counters } = deployment
  const left = leftPlaces(deployment, awaited)
  const step = reconcile(deployment, now, left)
  if (step.do !== 'hold') return []
  const missing = (count: number, code: string, message: string): readonly Reason[] => (count === 0 ? [] : [{ code, message }])
  return [
    ...step.because,
    ...missing(counters.offered, 'UNDER_WAY', `${counters.offered} devices have an offer and have not ended it`),
    ...missing(
      awaited.fresh,
      'NOT_COME',
      `${awaited.fresh} devices of the wave have no place: they have not checked in since it began, the release does not fit them, or a younger deployment than ${id} governs them`,
    ),
    ...missing(awaited.withdrawn, 'TAKEN_BACK', `${awaited.withdrawn} devices had their offer taken back, and have not come for another`),
    ...missing(left, 'LEFT', `${left} places were left by devices that the selector does not match any more`),
  ]
}
