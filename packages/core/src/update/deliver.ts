import type { Delivered, Planned } from './device-line.ts'
import { frozenCopy } from './frozen-copy.ts'
import { readBackProblems, reportedFailure, runs, unknownObservation, unobserved, waiting } from './judge.ts'
import type { Observation, Verdict } from './observation.ts'
import { demand, prove } from './proof.ts'

/**
 * Judges, purely, whether the image of a plan is on the device, whole.
 * @throws `FORGED_PROOF`, `BROKEN_PLUGIN` (internal) where the observation is of no known kind
 */
export function deliver(planned: Planned, observed: Observation): Verdict<Delivered> {
  demand('plan', planned)
  const passed = (): Verdict<Delivered> => ({ is: 'passed', proof: prove('deliver', { planned, observed: frozenCopy(observed) }) })
  switch (observed.by) {
    case 'read-back': {
      const because = readBackProblems(planned, observed)
      return because.length === 0 ? passed() : { is: 'failed', because }
    }
    case 'report': {
      const because = reportedFailure(observed.report)
      if (because !== undefined) return { is: 'failed', because }
      switch (observed.report.state) {
        case 'downloading':
          return waiting('DOWNLOADING', 'the device is downloading')
        case 'cancel-refused':
          return waiting('CANCEL_REFUSED', 'the device goes on, though it was asked to stop')
        default:
          return passed()
      }
    }
    case 'check-in':
      return runs(planned, observed.installed) ? passed() : waiting('NOT_DELIVERED', 'the device does not have the image yet')
    case 'evidence':
      return waiting('NOT_DELIVERED', 'evidence says nothing about a delivery')
    case 'none':
      return unobserved(observed.since)
    default:
      throw unknownObservation(observed)
  }
}
