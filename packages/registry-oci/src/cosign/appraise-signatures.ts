import { type Check, type Digest, isOtaError, throwIfAborted } from '@reflash/core'
import type { PublicKey } from './public-key.ts'
import { signatureTag } from './signature-manifest.ts'
import { type ReadableRegistry, readSignatures, type StoredSignatures } from './signature-store.ts'
import { type Attempt, isSignatureLayer, judgeFailure, type RefusalCode, shown, tryLayer } from './try-layer.ts'

/**
 * Signatures of one artifact that are tried. Each costs one request and one verification per key; real artifacts have one to three, and
 * whoever can write to the repository could otherwise make every check-in ask for a thousand blobs.
 */
export const signatureTries = 32

export interface Appraisal {
  readonly is: 'passed' | 'failed' | 'inconclusive'
  readonly checks: readonly Check[]
  /** Those whose signature counts, each once. */
  readonly signers: readonly PublicKey[]
}

export interface AppraisalPolicy {
  readonly keys: readonly PublicKey[]
  /** How many different keys must have signed. */
  readonly threshold: number
  readonly signedRepository: string | undefined
  /** What a key is called in checks. */
  nameOf(key: PublicKey): string
}

export interface AppraisalContext {
  readonly from: ReadableRegistry
  readonly signal: AbortSignal
}

/** What says most about what has happened, first: a report names the most alarming reason. */
const telling: readonly RefusalCode[] = [
  'SIGNATURE_OTHER_ARTIFACT',
  'SIGNATURE_OTHER_IDENTITY',
  'SIGNATURE_PAYLOAD_INVALID',
  'SIGNATURE_UNREADABLE',
  'SIGNATURE_OTHER_KEY',
  'SIGNATURE_INVALID',
]

/**
 * Looks whether enough of the keys have signed `digest`, asking the registry for no more than that takes.
 * @throws `ABORTED` alone: whatever an untrusted registry sends becomes a check
 */
export async function appraiseSignatures(
  repository: string,
  digest: Digest,
  policy: AppraisalPolicy,
  context: AppraisalContext,
): Promise<Appraisal> {
  const found = await lookUp(repository, digest, context)
  if ('is' in found) return found
  const layers = found.manifest.layers.filter(isSignatureLayer)
  const source = { ...context, repository, payloads: new Map<Digest, Uint8Array>() }
  const attempts: Attempt[] = []
  const signers = new Map<string, { readonly key: PublicKey; readonly dockerReference: string; readonly layer: number }>()
  for (const layer of layers.slice(0, signatureTries)) {
    throwIfAborted(context.signal)
    const attempt = await tryLayer(layer, { ...policy, digest }, source)
    attempts.push(attempt)
    if (attempt.is !== 'valid') continue
    // A key counts once, however often it signed.
    const { key, payload } = attempt
    if (!signers.has(key.identity)) signers.set(key.identity, { key, dockerReference: payload.dockerReference, layer: attempts.length - 1 })
    if (signers.size === policy.threshold) break
  }
  const here = `${found.reference} (${layers.length} of ${found.manifest.layers.length} layers are signatures, ${attempts.length} tried)`
  if (signers.size < policy.threshold) return shortfall(here, digest, attempts, signers.size, policy)
  return {
    is: 'passed',
    checks: passed(here, digest, attempts, [...signers.values()], policy),
    signers: [...signers.values()].map(({ key }) => key),
  }
}

async function lookUp(repository: string, digest: Digest, { from, signal }: AppraisalContext): Promise<StoredSignatures | Appraisal> {
  try {
    const stored = await readSignatures(from, repository, digest, { signal })
    if (stored !== undefined) return stored
    const tag = signatureTag(digest)
    const why =
      tag === undefined
        ? `no tag can hold the signatures of ${digest}; sign a SHA-256 digest`
        : `expected signatures under ${repository}:${tag}, found none`
    return failed('SIGNATURE_NOT_FOUND', why)
  } catch (error) {
    if (isOtaError(error) && error.code === 'SIGNATURE_MANIFEST_INVALID') return failed(error.code, error.message)
    const { is, why, ...rest } = judgeFailure(error)
    if (is === 'unreachable') return inconclusive(why)
    return failed('code' in rest ? rest.code : 'SIGNATURE_UNREADABLE', why)
  }
}

function passed(
  here: string,
  digest: Digest,
  attempts: readonly Attempt[],
  signers: readonly { readonly key: PublicKey; readonly dockerReference: string; readonly layer: number }[],
  { threshold, signedRepository, nameOf }: AppraisalPolicy,
): readonly Check[] {
  const claims = [...new Set(signers.map(({ dockerReference }) => shown(dockerReference)))].join(', ')
  return [
    { name: 'SIGNATURE_FOUND', status: 'passed', reason: here },
    ...signers.map(
      ({ key, layer }): Check => ({ name: 'SIGNATURE_VERIFIED', status: 'passed', reason: `signature ${layer} is by ${nameOf(key)}` }),
    ),
    { name: 'SIGNED_DIGEST', status: 'passed', reason: `it says ${digest}` },
    signedRepository === undefined
      ? { name: 'SIGNED_IDENTITY', status: 'skipped', reason: `it says ${claims}, which is not compared` }
      : { name: 'SIGNED_IDENTITY', status: 'passed', reason: `it says ${claims}` },
    { name: 'SIGNER_THRESHOLD', status: 'passed', reason: `${signers.length} of at least ${threshold} keys` },
    ...others(attempts),
  ]
}

/** Signatures that did not count do no harm where enough did, but an operator wants to see them. */
function others(attempts: readonly Attempt[]): readonly Check[] {
  return attempts.flatMap((attempt, index): Check[] => {
    if (attempt.is === 'valid') return []
    const code = attempt.is === 'refused' ? attempt.code : 'SIGNATURE_UNREACHABLE'
    return [{ name: code, status: 'skipped', reason: `signature ${index} does not count: ${attempt.why}` }]
  })
}

function shortfall(here: string, digest: Digest, attempts: readonly Attempt[], signers: number, { threshold }: AppraisalPolicy): Appraisal {
  const unreachable = attempts.filter((attempt) => attempt.is === 'unreachable')
  // Those that could not be read might have been enough.
  if (signers + unreachable.length >= threshold && unreachable[0] !== undefined) return inconclusive(`${here}: ${unreachable[0].why}`)
  if (attempts.length === 0) return failed('SIGNATURE_NOT_FOUND', `expected signatures of ${digest}, found none: ${here}`)
  const refused = attempts.filter((attempt) => attempt.is === 'refused')
  if (signers > 0 || refused.length === 0) {
    return failed('SIGNATURE_THRESHOLD', `expected signatures by ${threshold} different keys, found ${signers}: ${here}`, attempts)
  }
  const code = telling.find((candidate) => refused.some((attempt) => attempt.code === candidate)) ?? 'SIGNATURE_INVALID'
  const why = refused.find((attempt) => attempt.code === code)?.why ?? 'none counts'
  return failed(code, `expected a signature of ${digest}, found none that counts in ${here}: ${why}`)
}

function failed(code: RefusalCode, reason: string, attempts: readonly Attempt[] = []): Appraisal {
  return { is: 'failed', checks: [{ name: code, status: 'failed', reason }, ...others(attempts)], signers: [] }
}

function inconclusive(why: string): Appraisal {
  return { is: 'inconclusive', checks: [{ name: 'SIGNATURE_UNREACHABLE', status: 'inconclusive', reason: why }], signers: [] }
}
