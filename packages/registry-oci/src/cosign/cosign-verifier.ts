import { type Check, digestOf, type SignatureVerifier, type Subject, type VerificationResult, type VerifyContext } from '@reflash/core'
import { type Appraisal, type AppraisalPolicy, appraiseSignatures } from './appraise-signatures.ts'
import { fail } from './cosign-errors.ts'
import { type PublicKey, parsePublicKey } from './public-key.ts'

/** Each signature is tried against each key: 32 signatures and 32 keys take a fraction of a second. */
const keyLimit = 32

/** A public key as PEM, or as PEM or DER bytes; a name is shown beside its fingerprint in checks and decides nothing. */
export type KeySource = string | Uint8Array | { readonly pem: string; readonly name?: string }

export interface CosignVerifierOptions {
  /** The keys that may sign; during a rotation, the old and the new one. */
  readonly keys: readonly KeySource[]
  /** How many different ones of them must have signed. @default 1 */
  readonly threshold?: number
  /**
   * What the repository that a signature names (`critical.identity.docker-reference`) is compared with: nothing, as cosign does, so that a
   * signed artifact may be copied; the repository it is fetched from; or one that you name, such as the one it was mirrored from.
   * @default 'ignore'
   */
  readonly identity?: 'ignore' | 'match-repository' | { readonly repository: string }
}

/**
 * Verifies key-based cosign signatures in the legacy layout, where the signatures of `sha256:<hex>` lie under the tag `sha256-<hex>.sig`
 * of the same repository. Looks for signatures of the root first (they cover the root), then of the manifest. Certificates, Rekor bundles
 * and timestamps beside a signature are ignored: a key is trusted until it is taken out of `keys`. The checks say what was found; their
 * names are the codes of `cosignErrors` where something failed. cosign SIGNATURE_SPEC; containers/image, containers-signature(5).
 * @throws `VERIFIER_OPTIONS_INVALID`, `PUBLIC_KEY_INVALID`, `PUBLIC_KEY_WEAK` at once; `verify` throws `ABORTED` alone
 * @example
 * const verifier = cosignVerifier({ keys: [await readFile('cosign.pub', 'utf8')] })
 */
export function cosignVerifier(options: CosignVerifierOptions): SignatureVerifier {
  const { keys, names } = parseKeys(options.keys)
  const { threshold = 1, identity = 'ignore' } = options
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > keys.length) {
    throw refuse(`threshold: expected a whole number from 1 to ${keys.length}, the number of different keys, found ${String(threshold)}`)
  }
  const expected = expectedRepository(identity)
  const identities = keys.map((key) => key.identity).sort()
  const decisive = {
    format: 'cosign-legacy',
    keys: identities,
    threshold,
    identity: typeof identity === 'string' ? identity : { repository: identity.repository },
  }
  return Object.freeze({
    kind: 'signature-verifier',
    name: 'cosign',
    spec: 0,
    policy: digestOf(new TextEncoder().encode(JSON.stringify(decisive))),
    verify(subject: Subject, context: VerifyContext): Promise<VerificationResult> {
      const signedRepository = expected(subject)
      const nameOf = (key: PublicKey): string => `${names.get(key.identity) ?? ''}${key.identity}`
      return verifySubject(subject, { keys, threshold, signedRepository, nameOf }, context)
    },
  } satisfies SignatureVerifier)
}

async function verifySubject(subject: Subject, policy: AppraisalPolicy, context: VerifyContext): Promise<VerificationResult> {
  const { repository, root, manifest } = subject
  const ofRoot = await appraiseSignatures(repository, root.digest, policy, context)
  // While the root's signatures cannot be read, what covers the release is not decided by which half of a network fails.
  if (ofRoot.is !== 'failed' || root.digest === manifest.digest) return result('root', ofRoot)
  const ofManifest = await appraiseSignatures(repository, manifest.digest, policy, context)
  // Where the manifest passes, the root's lack is told and decides nothing; where both fail, both reasons are reasons.
  const told = (check: Check): Check => ({
    ...check,
    status: ofManifest.is === 'failed' ? check.status : 'skipped',
    reason: `root: ${check.reason}`,
  })
  const rootChecks = ofRoot.checks.map(told)
  const manifestChecks = ofManifest.checks.map((check) => ({ ...check, reason: `manifest: ${check.reason}` }))
  return result('manifest', { ...ofManifest, checks: [...manifestChecks, ...rootChecks] })
}

function result(covers: 'root' | 'manifest', { checks, signers }: Appraisal): VerificationResult {
  const identity = signers
    .map((key) => key.identity)
    .sort()
    .join(' ')
  return { covers, checks, ...(identity === '' ? {} : { signer: { identity } }) }
}

function parseKeys(sources: readonly KeySource[]): { readonly keys: readonly PublicKey[]; readonly names: ReadonlyMap<string, string> } {
  if (!Array.isArray(sources) || sources.length < 1 || sources.length > keyLimit) {
    throw refuse(`keys: expected 1 to ${keyLimit} public keys, found ${Array.isArray(sources) ? sources.length : typeof sources}`)
  }
  const keys = new Map<string, PublicKey>()
  const names = new Map<string, string>()
  for (const source of sources as readonly KeySource[]) {
    const isNamed = typeof source === 'object' && !(source instanceof Uint8Array)
    const key = parsePublicKey(isNamed ? source.pem : source)
    keys.set(key.identity, key)
    if (isNamed && source.name !== undefined) names.set(key.identity, `${JSON.stringify(source.name.slice(0, 100))} `)
  }
  return { keys: [...keys.values()], names }
}

function expectedRepository(identity: NonNullable<CosignVerifierOptions['identity']>): (subject: Subject) => string | undefined {
  if (identity === 'ignore') return () => undefined
  if (identity === 'match-repository') return ({ repository }) => repository
  const repository: unknown = (identity as { readonly repository?: unknown } | null)?.repository
  if (typeof repository !== 'string' || repository === '') {
    throw refuse('identity: expected "ignore", "match-repository" or { repository }')
  }
  return () => repository
}

function refuse(why: string): Error {
  return fail('VERIFIER_OPTIONS_INVALID', why)
}
