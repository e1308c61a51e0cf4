import type { Reason } from '../errors.ts'
import { bearableFailures, placesTaken, shareOf, tooManyFail } from '../plugin/fleet-rules.ts'
import type { Awaited, Deployment } from '../plugin/fleet-store.ts'

/** How the open wave does. */
export interface Health {
  /** Confirmed devices that the next wave needs. */
  readonly needed: number
  readonly succeeds: boolean
  /** Failures, beyond what was forgiven, that pause the deployment. */
  readonly bearable: number
  readonly fails: boolean
}

/**
 * Counts the devices of all waves up to the open one. Only `confirmed` is success: neither what never reported nor what ran the version before. Where
 * the deployment demands proof, `confirmed` counts attested confirmations alone (see `settlementOf`). Places that are `left` (see `leftPlaces`) are not
 * waited for. Pure.
 */
export function healthOf(deployment: Deployment, left = 0): Health {
  const { size, successPercent, counters } = deployment
  const share = shareOf(Math.max(0, size - counters.skipped - left), successPercent)
  // A wave whose devices have all left has shown nothing.
  const needed = left > 0 && counters.skipped === 0 ? Math.max(1, share) : share
  return {
    needed,
    succeeds: counters.confirmed >= needed,
    bearable: bearableFailures(deployment),
    fails: tooManyFail(deployment),
  }
}

/**
 * Places of the open wave that nobody will take any more: the devices that they were counted for have been given other labels since, or say that they
 * are another model. Pure.
 */
export function leftPlaces({ size, counters }: Pick<Deployment, 'size' | 'counters'>, { fresh, withdrawn }: Awaited): number {
  return Math.max(0, size - placesTaken(counters) - fresh) + Math.max(0, counters.withdrawn - withdrawn)
}

/** Why a deployment pauses, and why nobody else is offered anything until then. */
export function failureReason(deployment: Deployment): Reason {
  const { id, size, forgiven, counters } = deployment
  const message = `deployment ${id}: ${counters.failed} of ${size} devices failed; ${forgiven + bearableFailures(deployment)} pause it`
  return { code: 'TOO_MANY_FAILURES', message }
}
