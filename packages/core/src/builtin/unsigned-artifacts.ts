import type { SignatureVerifier } from '../plugin/signature-verifier.ts'

/** A signature verifier that lets everything pass, visibly: whoever can write to the registry decides what devices run. */
export function unsignedArtifacts(): SignatureVerifier {
  return Object.freeze({
    kind: 'signature-verifier',
    name: 'unsigned-artifacts',
    spec: 0,
    opens: 'artifacts need no signature: whoever can write to the registry decides what devices run',
    policy: 'unsigned',
    verify: async () => ({
      covers: 'root' as const,
      checks: [{ name: 'UNSIGNED_ALLOWED', status: 'skipped' as const, reason: 'signatures are not asked for' }],
    }),
  } satisfies SignatureVerifier)
}
