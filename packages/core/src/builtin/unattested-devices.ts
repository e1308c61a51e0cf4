import { fail } from '../core-errors.ts'
import type { EvidenceVerifier } from '../plugin/evidence-verifier.ts'

/** Asks no device for evidence, visibly: `confirmed` then rests on what devices say. */
export function unattestedDevices(): EvidenceVerifier {
  return Object.freeze({
    kind: 'evidence-verifier',
    name: 'unattested-devices',
    spec: 0,
    opens: 'devices are not asked for evidence: "confirmed" rests on what they say',
    mediaTypes: [],
    appraise: async () => {
      throw fail('EVIDENCE_UNSUPPORTED', 'expected a verifier for evidence, found unattestedDevices()')
    },
  } satisfies EvidenceVerifier)
}
