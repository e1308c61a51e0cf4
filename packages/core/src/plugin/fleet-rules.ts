import { fail } from '../core-errors.ts'
import type { Claim, Claimed, Counters, Deployment, FleetDevice, FleetUpdate, Selector, Settlement, UpdateState } from './fleet-store.ts'

// What every fleet store decides alike, so that none decides it otherwise.

/** Devices of one fleet: the index of a million and their labels is some hundred megabytes. */
export const fleetDeviceLimit = 1_000_000
/** Deployments that run or are paused at once: each is held against each device that checks in. */
export const openDeploymentLimit = 64
/** Rows of one page. */
export const fleetPageLimit = 1_000

/** Milliseconds; no lease lasts longer. One that ends later was given by a clock that was set back since: nobody else could drive until then. */
export const longestLeaseMs = 3_600_000

const bucketCount = 2 ** 32

export const noCounters: Counters = Object.freeze({ offered: 0, confirmed: 0, failed: 0, unobserved: 0, skipped: 0, withdrawn: 0 })

/** How many places of a deployment are taken. */
export function placesTaken({ offered, confirmed, failed, unobserved, skipped, withdrawn }: Counters): number {
  return offered + confirmed + failed + unobserved + skipped + withdrawn
}

/** Where a bucket lies from a deployment's start, going round once: so that not the same devices are the first of every deployment. */
export function positionOf(bucket: number, start: number): number {
  return (bucket - start + bucketCount) % bucketCount
}

/** Whether a selector matches a device. */
export function selects(selector: Selector, { model, labels }: Pick<FleetDevice, 'model' | 'labels'>): boolean {
  for (const name in selector) {
    const value = name === 'model' ? model : Object.hasOwn(labels, name) ? labels[name] : undefined
    if (value === undefined || !(selector[name] as readonly string[]).includes(value)) return false
  }
  return true
}

/** A percent of so many devices, rounded up: a wave of a small fleet has one device at least. */
export function shareOf(members: number, percent: number): number {
  return Math.ceil((members * percent) / 100)
}

/** Failures, beyond those that were forgiven, that pause a deployment. */
export function bearableFailures({ size, failurePercent }: Pick<Deployment, 'size' | 'failurePercent'>): number {
  return Math.max(1, shareOf(size, failurePercent))
}

/** Whether so many devices have failed that nobody else may be offered the release. */
export function tooManyFail(deployment: Pick<Deployment, 'size' | 'failurePercent' | 'forgiven' | 'counters'>): boolean {
  return deployment.counters.failed - deployment.forgiven >= bearableFailures(deployment)
}

/** What a claim is answered, and what is stored for it: the row as it is then, and how the counters move. Pure. */
export function judgeClaim(
  open: Pick<Deployment, 'state' | 'wave' | 'size' | 'failurePercent' | 'forgiven' | 'counters'>,
  row: FleetUpdate | undefined,
  { deployment, device, as, at }: Claim,
): { readonly answer: Claimed; readonly from?: UpdateState } {
  const { state, wave, size, counters } = open
  if (row !== undefined && row.state !== 'withdrawn' && (row.state !== 'offered' || as === 'offered')) {
    return { answer: { is: row.state === 'offered' ? 'standing' : 'ended', update: row } }
  }
  if (state !== 'running') return { answer: { is: 'not-running' } }
  // The ticker pauses it at its next look; until then nobody else begins.
  if (tooManyFail(open)) return { answer: { is: 'failing' } }
  if (row !== undefined) {
    // Its place is its own already.
    const attempt = as === 'offered' ? row.attempt + 1 : row.attempt
    return { answer: { is: 'taken', update: { ...row, state: as, attempt, at, because: [] } }, from: row.state }
  }
  if (placesTaken(counters) >= size) return { answer: { is: 'full' } }
  return { answer: { is: 'taken', update: { deployment, device, wave, state: as, attempt: 1, attested: false, at, because: [] } } }
}

/** What the end of an update is judged as: the row as it is then; undefined where it is not offered, or not of that attempt. Pure. */
export function judgeSettlement(
  row: FleetUpdate | undefined,
  { attempt, state, attested, at, because }: Settlement,
): FleetUpdate | undefined {
  return row?.state === 'offered' && row.attempt === attempt ? { ...row, state, attested, at, because } : undefined
}

/** The counters after one device has moved. Pure. */
export function movedCounters(counters: Counters, from: UpdateState | undefined, to: UpdateState): Counters {
  return { ...counters, [to]: counters[to] + 1, ...(from === undefined ? {} : { [from]: counters[from] - 1 }) }
}

/** Whether a lease until then keeps others off now; both in milliseconds since 1970. */
export function leaseHolds(until: number, now: number): boolean {
  return until > now && until - now <= longestLeaseMs
}

/** @throws `INVALID_PAGE` */
export function checkPage(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= fleetPageLimit) return
  throw fail('INVALID_PAGE', `expected a limit from 1 to ${fleetPageLimit}, found ${String(limit)}`)
}
