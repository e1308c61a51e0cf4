import { fail } from '../core-errors.ts'
import type { DeviceState, Principal } from '../plugin/device.ts'
import type { AttestationResult } from '../plugin/evidence-verifier.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { pluginState } from '../plugin/plugin-state.ts'
import type { Admitted, DeviceDeps, Presented } from './device-line.ts'
import { prove } from './proof.ts'

/**
 * Admits a device: the principal is this device, and where the policy asks for evidence, a verifier affirms it.
 * @throws `WRONG_DEVICE`, `EVIDENCE_REQUIRED`, `EVIDENCE_REFUSED` (rejected), `EVIDENCE_UNSUPPORTED` (unsupported)
 */
export async function admit(
  device: DeviceState,
  principal: Principal,
  presented: Presented | undefined,
  deps: DeviceDeps,
  context: RunContext,
): Promise<Admitted> {
  if (principal.deviceId !== device.id) {
    throw fail('WRONG_DEVICE', `expected the principal of device ${device.id}, found that of ${principal.deviceId}`, { stage: 'admit' })
  }
  if (deps.policy.attestation === 'none') return prove('admit', { device, principal })
  if (presented === undefined) {
    throw fail(
      'EVIDENCE_REQUIRED',
      `expected evidence of device ${device.id}, found none; the policy asks for attestation "${deps.policy.attestation}"`,
      {
        stage: 'admit',
      },
    )
  }
  const attestation = await appraise(device.id, presented, 'admit', deps, context)
  if (attestation.tier !== 'affirming') {
    const because = attestation.checks
      .filter(({ status }) => status !== 'passed' && status !== 'skipped')
      .map(({ name, reason }) => ({ code: name, message: reason ?? name }))
    throw fail('EVIDENCE_REFUSED', `device ${device.id}: expected an affirming appraisal, found "${attestation.tier}"`, {
      stage: 'admit',
      ...(because.length > 0 ? { because } : {}),
    })
  }
  return prove('admit', { device, principal, attestation })
}

/** Asks the verifier that reads this media type, and refuses an answer about another device, nonce or purpose. */
export async function appraise(
  deviceId: string,
  { evidence, nonce }: Presented,
  purpose: 'admit' | 'confirm',
  deps: Pick<DeviceDeps, 'attestation' | 'journal'>,
  context: RunContext,
  references: AttestationResult['measurements'] = [],
): Promise<AttestationResult> {
  const verifier = deps.attestation.find(({ mediaTypes }) => mediaTypes.includes(evidence.mediaType))
  if (verifier === undefined) {
    const known = deps.attestation.flatMap(({ mediaTypes }) => mediaTypes)
    throw fail(
      'EVIDENCE_UNSUPPORTED',
      `expected evidence of type ${known.join(' or ') || '(no verifier is configured)'}, found ${evidence.mediaType}`,
      {
        stage: purpose,
      },
    )
  }
  const result = await verifier.appraise(evidence, {
    ...context,
    nonce,
    purpose,
    deviceId,
    references,
    state: pluginState(deps.journal, verifier),
  })
  const same = result.nonce.length === nonce.length && result.nonce.every((byte, index) => byte === nonce[index])
  if (result.deviceId !== deviceId || result.purpose !== purpose || !same) {
    throw fail(
      'EVIDENCE_REFUSED',
      `expected an appraisal for device ${deviceId}, purpose "${purpose}" and its nonce, found one for something else`,
      {
        stage: purpose,
      },
    )
  }
  return result
}
