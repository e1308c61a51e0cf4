import { fail } from '../core-errors.ts'
import type { DeviceState, Principal } from '../plugin/device.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { appraise } from './appraise.ts'
import type { Admitted, DeviceDeps, Presented } from './device-line.ts'
import { frozenCopy } from './frozen-copy.ts'
import { prove } from './proof.ts'

/**
 * Admits a device: the principal is this device, and where the policy asks for evidence, a verifier affirms it.
 * @throws `WRONG_DEVICE`, `EVIDENCE_REQUIRED`, `EVIDENCE_REFUSED` (rejected), `EVIDENCE_UNSUPPORTED` (unsupported), and what the
 * evidence verifier throws
 */
export async function admit(
  device: DeviceState,
  principal: Principal,
  presented: Presented | undefined,
  deps: DeviceDeps,
  context: RunContext,
): Promise<Admitted> {
  const who = frozenCopy({ device, principal })
  const { id } = who.device
  if (who.principal.deviceId !== id) {
    throw fail('WRONG_DEVICE', `expected the principal of device ${id}, found that of ${who.principal.deviceId}`, { stage: 'admit' })
  }
  const { attestation: demanded } = deps.policy
  if (demanded === 'none') return prove('admit', who)
  if (presented === undefined) {
    const message = `expected evidence of device ${id}, found none; the policy asks for attestation "${demanded}"`
    throw fail('EVIDENCE_REQUIRED', message, { stage: 'admit' })
  }
  const attestation = await appraise(id, presented, 'admit', deps, context)
  if (attestation.tier !== 'affirming') {
    const because = attestation.checks
      .filter(({ status }) => status !== 'passed' && status !== 'skipped')
      .map(({ name, reason }) => ({ code: name, message: reason ?? name }))
    throw fail('EVIDENCE_REFUSED', `device ${id}: expected an affirming appraisal, found "${attestation.tier}"`, {
      stage: 'admit',
      ...(because.length > 0 ? { because } : {}),
    })
  }
  if (!(attestation.expires.getTime() > context.now.getTime())) {
    const message = `device ${id}: expected an appraisal that is still good, found one that expired at ${attestation.expires.toJSON()}`
    throw fail('EVIDENCE_REFUSED', message, { stage: 'admit', because: [{ code: 'EVIDENCE_EXPIRED', message }] })
  }
  return prove('admit', { ...who, attestation })
}
