import type { Reason } from '../errors.ts'
import { bearableFailures, shareOf, tooManyFail } from '../plugin/fleet-rules.ts'
import type { Deployment } from '../plugin/fleet-store.ts'

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
 * the deployment demands proof, `confirmed` counts attested confirmations alone (see `settlementOf`). Pure.
 */
export function healthOf(deployment: Deployment): Health {
  const { size, successPercent, counters } = deployment
  const needed = shareOf(Math.max(0, size - counters.skipped), successPercent)
  return {
    needed,
    succeeds: counters.confirmed >= needed,
    bearable: bearableFailures(deployment),
    fails: tooManyFail(deployment),
  }
}

/** Why a deployment pauses, and why nobody else is offered anything until then. */
export function failureReason(deployment: Deployment): Reason {
  const { id, size, forgiven, counters } = deployment
  const message = `deployment ${id}: ${counters.failed} of ${size} devices failed; ${forgiven + bearableFailures(deployment)} pause it`
  return { code: 'TOO_MANY_FAILURES', message }
}
