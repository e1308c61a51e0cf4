import type { Reason } from '../errors.ts'
import type { AttestationResult } from '../plugin/evidence-verifier.ts'
import type { Policy } from '../policy/policy.ts'
import { sameBytes } from './appraise.ts'
import type { Confirmed, Installed } from './device-line.ts'
import { frozenCopy } from './frozen-copy.ts'
import { readBackProblems, reportedFailure, runs, unknownObservation, unobserved, waiting } from './judge.ts'
import type { Observation, Verdict } from './observation.ts'
import { demand, prove } from './proof.ts'
import { imageOf } from './release-line.ts'

/** The nonce that was issued for this confirmation: evidence for another one proves nothing. */
export type ConfirmPolicy = Pick<Policy, 'attestation'> & { readonly nonce?: Uint8Array }

/**
 * Judges, purely, whether the device runs the image and keeps it. Where the policy demands proof, nothing counts but fresh evidence
 * whose measurement is the one that the verified release declares.
 * @throws `FORGED_PROOF`, `BROKEN_PLUGIN` (internal) where the observation is of no known kind
 */
export function confirm(installed: Installed, observed: Observation, policy: ConfirmPolicy, now: Date): Verdict<Confirmed> {
  demand('install', installed)
  const { planned } = installed.delivered
  const proven = policy.attestation === 'proven'
  const passed = (): Verdict<Confirmed> =>
    proven && observed.by !== 'evidence'
      ? waiting('EVIDENCE_REQUIRED', 'the policy confirms by fresh evidence only')
      : { is: 'passed', proof: prove('confirm', { installed, observed: frozenCopy(observed) }) }
  switch (observed.by) {
    case 'evidence': {
      const because = evidenceProblems(installed, observed.result, policy, now)
      return because.length === 0 ? passed() : { is: 'failed', because }
    }
    case 'report': {
      const because = reportedFailure(observed.report)
      if (because !== undefined) return { is: 'failed', because }
      return observed.report.state === 'confirmed' ? passed() : waiting('NOT_CONFIRMED', `the device reports "${observed.report.state}"`)
    }
    case 'check-in':
      if (!runs(planned, observed.installed)) return waiting('NOT_BOOTED', `the device shows version ${observed.installed.version}`)
      return observed.installed.state === 'pending'
        ? waiting('NOT_CONFIRMED', 'the device has booted the image and not kept it yet')
        : passed()
    case 'read-back': {
      const because = readBackProblems(planned, observed)
      return because.length === 0 ? waiting('NOT_CONFIRMED', 'bytes in flash do not say what runs') : { is: 'failed', because }
    }
    case 'none':
      return unobserved(observed.since)
    default:
      throw unknownObservation(observed)
  }
}

function evidenceProblems(installed: Installed, result: AttestationResult, policy: ConfirmPolicy, now: Date): readonly Reason[] {
  const { planned } = installed.delivered
  const reasons: Reason[] = []
  const sameNonce = policy.nonce !== undefined && sameBytes(policy.nonce, result.nonce)
  if (result.deviceId !== planned.admitted.device.id)
    reasons.push({ code: 'EVIDENCE_OTHER_DEVICE', message: 'the evidence is of another device' })
  if (result.purpose !== 'confirm')
    reasons.push({ code: 'EVIDENCE_OTHER_PURPOSE', message: `expected evidence to confirm, found evidence to ${result.purpose}` })
  if (!sameNonce) reasons.push({ code: 'EVIDENCE_REPLAYED', message: 'the evidence is not for the nonce of this confirmation' })
  if (!(result.expires.getTime() > now.getTime()))
    reasons.push({ code: 'EVIDENCE_EXPIRED', message: `the appraisal expired at ${result.expires.toJSON()}` })
  if (result.tier !== 'affirming') {
    // The verifier's own codes come first: a replay and a debugger are different alarms.
    for (const { name, status, reason = name } of result.checks) {
      if (status === 'failed' || status === 'inconclusive') reasons.push({ code: name, message: reason })
    }
    reasons.push({ code: 'EVIDENCE_REFUSED', message: `expected an affirming appraisal, found "${result.tier}"` })
  }
  if (result.recovery === true)
    reasons.push({ code: 'RECOVERY_ONLY', message: 'the device runs in recovery: that it runs the image proves nothing' })
  if (!measured(imageOf(planned.release).measurements, result.measurements)) {
    reasons.push({ code: 'MEASUREMENT_MISMATCH', message: 'the device does not prove that it runs the image of this release' })
  }
  return reasons
}

// Every digest that the release declares must be among the device's for the same environment; nothing declared proves nothing.
function measured(declared: AttestationResult['measurements'], shown: AttestationResult['measurements']): boolean {
  return (
    declared.length > 0 &&
    declared.every((want) =>
      shown.some(
        (have) =>
          Object.entries(want.environment).every(([key, value]) => have.environment[key] === value) &&
          want.digests.length > 0 &&
          (want.svn === undefined || want.svn === have.svn) &&
          want.digests.every((digest) => have.digests.some((other) => other.hashAlg === digest.hashAlg && other.digest === digest.digest)),
      ),
    )
  )
}
