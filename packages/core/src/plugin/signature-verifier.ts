import type { Descriptor } from '../content/descriptor.ts'
import type { Journal } from './journal.ts'
import type { Check, Plugin, RunContext } from './plugin.ts'
import type { Registry } from './registry.ts'

/** What is to be vouched for, pinned by digest. `root` is what the reference pointed at; `manifest` is it, or its child for the platform. */
export interface Subject {
  readonly repository: string
  readonly reference: string
  readonly root: Descriptor
  readonly manifest: Descriptor
}

/** What a verifier found. */
export interface VerificationResult {
  /** The bytes that the signature covers: a signed root index covers its children. */
  readonly covers: 'root' | 'manifest'
  /** At least one; the verifier passes where none is `failed` or `inconclusive`. */
  readonly checks: readonly Check[]
  readonly signer?: { readonly identity: string; readonly issuer?: string }
}

/** What a verifier may read: content is held in the cache, at most 4 MiB each, so that verification works while the registry is down. */
export interface VerifyContext extends RunContext {
  readonly from: Pick<Registry, 'fetch' | 'referrers' | 'resolve'>
  /** The verifier's own durable memory (TUF versions, bindings), apart from every other plugin's. */
  readonly state: Pick<Journal, 'get' | 'put'>
}

/** Says who vouches for an artifact. Gets plain data, so that its author can call it in a test. */
export interface SignatureVerifier extends Plugin<'signature-verifier'> {
  /** Digest of everything that decides (keys, identities, thresholds): a memoised verification is void when it changes. */
  readonly policy: string
  verify(subject: Subject, context: VerifyContext): Promise<VerificationResult>
}
