import { shareOf } from '../plugin/fleet-rules.ts'
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
export function healthOf({ size, successPercent, failurePercent, forgiven, counters }: Deployment): Health {
  const needed = shareOf(Math.max(0, size - counters.skipped), successPercent)
  const bearable = Math.max(1, shareOf(size, failurePercent))
  return {
    needed,
    succeeds: counters.confirmed >= needed,
    bearable,
    fails: counters.failed - forgiven >= bearable,
  }
}
