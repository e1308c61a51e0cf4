import type { Delivered, Installed } from './device-line.ts'
import { frozenCopy } from './frozen-copy.ts'
import { readBackProblems, reportedFailure, runs, unknownObservation, unobserved, waiting } from './judge.ts'
import type { Observation, Verdict } from './observation.ts'
import { demand, prove } from './proof.ts'

/**
 * Judges, purely, whether the device boots the delivered image next, or already has.
 * @throws `FORGED_PROOF`, `BROKEN_PLUGIN` (internal) where the observation is of no known kind
 */
export function install(delivered: Delivered, observed: Observation): Verdict<Installed> {
  demand('deliver', delivered)
  const passed = (): Verdict<Installed> => ({ is: 'passed', proof: prove('install', { delivered, observed: frozenCopy(observed) }) })
  switch (observed.by) {
    case 'read-back': {
      const because = readBackProblems(delivered.planned, observed)
      return because.length === 0 ? passed() : { is: 'failed', because }
    }
    case 'report': {
      const { report } = observed
      const because = reportedFailure(report)
      if (because !== undefined) return { is: 'failed', because }
      return report.state === 'installed' || report.state === 'confirmed'
        ? passed()
        : waiting('INSTALLING', `the device reports "${report.state}"`)
    }
    case 'check-in':
      return runs(delivered.planned, observed.installed) ? passed() : waiting('NOT_INSTALLED', 'the device still runs its old image')
    case 'evidence':
      return waiting('NOT_INSTALLED', 'evidence is judged in confirm')
    case 'none':
      return unobserved(observed.since)
    default:
      throw unknownObservation(observed)
  }
}
