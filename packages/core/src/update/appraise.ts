import { fail } from '../core-errors.ts'
import type { AttestationResult } from '../plugin/evidence-verifier.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { pluginState } from '../plugin/plugin-state.ts'
import type { DeviceDeps, Presented } from './device-line.ts'
import { frozenCopy } from './frozen-copy.ts'
import { quoted } from './quoted.ts'

/**
 * Asks the verifier that reads this media type, and refuses an answer about another device, nonce or purpose. `references` is what the
 * verified release declares.
 * @throws `EVIDENCE_UNSUPPORTED` (unsupported), `EVIDENCE_REFUSED` (rejected), `BROKEN_PLUGIN` (internal), and what the verifier throws
 */
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
    const known = deps.attestation.flatMap(({ mediaTypes }) => mediaTypes).join(' or ') || '(no verifier is configured)'
    throw fail('EVIDENCE_UNSUPPORTED', `expected evidence of type ${known}, found ${quoted(evidence.mediaType)}`, { stage: purpose })
  }
  const state = pluginState(deps.journal, verifier)
  const result = frozenCopy(await verifier.appraise(evidence, { ...context, nonce, purpose, deviceId, references, state }))
  if (!isWhole(result)) {
    throw fail('BROKEN_PLUGIN', `expected an attestation result of verifier ${verifier.name}, found something else`, { stage: purpose })
  }
  if (result.deviceId !== deviceId || result.purpose !== purpose || !sameBytes(result.nonce, nonce)) {
    throw fail(
      'EVIDENCE_REFUSED',
      `expected an appraisal for device ${deviceId}, purpose "${purpose}" and its nonce, found one for something else`,
      { stage: purpose },
    )
  }
  return result
}

/** Whether two byte strings are equal. Nonces are no secrets: the time that it takes tells nothing. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}

function isWhole(result: AttestationResult): boolean {
  return (
    typeof result === 'object' &&
    result !== null &&
    result.nonce instanceof Uint8Array &&
    result.expires instanceof Date &&
    Array.isArray(result.checks) &&
    Array.isArray(result.measurements)
  )
}
