import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import {
  type AppraiseContext,
  type AttestationResult,
  type Check,
  concat,
  digestOf,
  type Evidence,
  type EvidenceVerifier,
  errorsOf,
  type Measurement,
  throwIfAborted,
} from '@reflash/core'

const mediaType = 'application/vnd.example.signed-evidence'
const lifetimeMs = 600_000
const signatureBytes = 64

const fail = errorsOf({
  EXAMPLE_EVIDENCE_INVALID: { fault: 'invalid', means: 'Evidence cannot be read.', next: 'Send what the device signed.' },
  EXAMPLE_EVIDENCE_FORGED: { fault: 'rejected', means: 'Evidence has no good signature.', next: 'Look at the device.' },
})

interface Claims {
  readonly nonce: string
  readonly deviceId: string
  readonly purpose: string
  readonly measurements: readonly Measurement[]
  readonly isRevoked?: boolean
}

/** A device's side: it signs what it is asked. */
export function evidenceKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const trustAnchor = publicKey.export({ type: 'spki', format: 'pem' }) as string
  return {
    trustAnchor,
    issue: (claims: Omit<Claims, 'nonce'> & { readonly nonce: Uint8Array }): Evidence => issue(privateKey, claims),
  }
}

function issue(
  key: KeyObject,
  { nonce, deviceId, purpose, measurements, isRevoked = false }: Omit<Claims, 'nonce'> & { readonly nonce: Uint8Array },
): Evidence {
  const said: Claims = { nonce: Buffer.from(nonce).toString('hex'), deviceId, purpose, measurements, isRevoked }
  const payload = new TextEncoder().encode(JSON.stringify(said))
  return { mediaType, body: concat([sign(null, payload, key), payload]) }
}

/** What a verifier does of which a mutant does one thing otherwise. */
export interface EvidenceHabits {
  /** Checks that are made. */
  readonly checks: readonly string[]
  /** What is read of a body: what was signed, and the signature of it. */
  split(body: Uint8Array): { readonly signature: Uint8Array; readonly payload: Uint8Array }
  isSigned(payload: Uint8Array, key: KeyObject, signature: Uint8Array): boolean
  isOfType(found: string): boolean
  readonly limitBytes: number
  readonly leastBytes: number
}

export const rightHabits: EvidenceHabits = {
  checks: ['NONCE', 'DEVICE', 'PURPOSE', 'IDENTITY', 'KEY'],
  split: (body) => ({ signature: body.subarray(0, signatureBytes), payload: body.subarray(signatureBytes) }),
  isSigned: (payload, key, signature) => verify(null, payload, key, signature),
  isOfType: (found) => found === mediaType,
  limitBytes: 64 * 1024,
  leastBytes: signatureBytes + 1,
}

/**
 * Makes an honest verifier for tests.
 *
 * | offset | bytes | holds |
 * |---|---|---|
 * | 0 | 64 | Ed25519 signature of all that follows |
 * | 64 | rest | JSON: nonce (hex), deviceId, purpose, measurements, isRevoked |
 */
export function signedEvidence({ trustAnchor }: { readonly trustAnchor: string }): EvidenceVerifier {
  return evidenceVerifier(trustAnchor, rightHabits)
}

export function evidenceVerifier(trustAnchor: string, habits: EvidenceHabits): EvidenceVerifier {
  const key = createPublicKey(trustAnchor)
  const identity = digestOf(key.export({ type: 'spki', format: 'der' }))
  return Object.freeze<EvidenceVerifier>({
    kind: 'evidence-verifier',
    name: 'signed-evidence',
    spec: 0,
    mediaTypes: Object.freeze([mediaType]),
    async appraise(evidence, context) {
      throwIfAborted(context.signal)
      return judge(readEvidence(evidence, key, habits), identity, context, habits)
    },
  })
}

function readEvidence({ mediaType: found, body }: Evidence, key: KeyObject, habits: EvidenceHabits): Claims {
  const { isOfType, leastBytes, limitBytes, split, isSigned } = habits
  if (!isOfType(found)) throw fail('EXAMPLE_EVIDENCE_INVALID', `expected ${mediaType}, found another type`)
  if (body.length < leastBytes || body.length > limitBytes) {
    throw fail('EXAMPLE_EVIDENCE_INVALID', `expected ${leastBytes} to ${limitBytes} bytes, found ${body.length}`)
  }
  const { signature, payload } = split(body)
  if (!isSigned(payload, key, signature)) throw fail('EXAMPLE_EVIDENCE_FORGED', 'expected a signature of the trust anchor, found none')
  return JSON.parse(new TextDecoder().decode(payload)) as Claims
}

function judge(
  claims: Claims,
  identity: string,
  { nonce, purpose, deviceId, enrolled, now }: AppraiseContext,
  habits: EvidenceHabits,
): AttestationResult {
  const check = (name: string, fits: boolean): Check =>
    fits ? { name, status: 'passed' } : { name, status: 'failed', reason: `the evidence is for another ${name.toLowerCase()}` }
  const checks = [
    check('NONCE', claims.nonce === Buffer.from(nonce).toString('hex')),
    check('DEVICE', claims.deviceId === deviceId),
    check('PURPOSE', claims.purpose === purpose),
    check('IDENTITY', enrolled === undefined || enrolled === identity),
    check('KEY', claims.isRevoked !== true),
  ].filter(({ name }) => habits.checks.includes(name))
  return {
    tier: checks.every(({ status }) => status === 'passed') ? 'affirming' : 'contraindicated',
    checks,
    measurements: claims.measurements,
    identity,
    purpose,
    deviceId,
    nonce,
    appraisedAt: now,
    expires: new Date(now.getTime() + lifetimeMs),
  }
}
