import type { Journal } from './journal.ts'
import type { Check, Plugin, RunContext } from './plugin.ts'

/** What a device shows about itself. RFC 9334. */
export interface Evidence {
  readonly mediaType: string
  readonly body: Uint8Array
}

/** Digests of what runs in one environment of a device. RFC 9334; draft-ietf-rats-corim. */
export interface Measurement {
  readonly environment: Readonly<Record<string, string | number>>
  /** `hashAlg` is `sha256`, `sha384` or `sha512`; `digest` lower case hex. */
  readonly digests: readonly { readonly hashAlg: string; readonly digest: string }[]
  readonly svn?: number
}

/** What evidence is asked for. What is given for one purpose proves nothing for another. */
export type Purpose = 'enrol' | 'admit' | 'confirm'

/** The appraisal of evidence. It proves nothing for another purpose, device or nonce. Tiers: draft-ietf-rats-ar4si. */
export interface AttestationResult {
  readonly tier: 'affirming' | 'warning' | 'contraindicated' | 'none'
  /** The device runs in recovery: only a repair may be offered. */
  readonly recovery?: boolean
  readonly checks: readonly Check[]
  readonly measurements: readonly Measurement[]
  /** UEID or key digest: what the device is, not what it says. */
  readonly identity?: string
  readonly purpose: Purpose
  readonly deviceId: string
  readonly nonce: Uint8Array
  readonly appraisedAt: Date
  readonly expires: Date
}

/** What evidence is judged by. */
export interface AppraiseContext extends RunContext {
  readonly nonce: Uint8Array
  readonly purpose: Purpose
  readonly deviceId: string
  readonly channelBinding?: Uint8Array
  readonly enrolled?: string
  /** What the verified release declares, beside the verifier's own reference values. */
  readonly references: readonly Measurement[]
  /** Remembered SVN, revocations. */
  readonly state: Pick<Journal, 'get' | 'put'>
}

/** Appraises evidence: the Verifier of RFC 9334. */
export interface EvidenceVerifier extends Plugin<'evidence-verifier'> {
  /** Media types it reads; none for `unattestedDevices()`. */
  readonly mediaTypes: readonly string[]
  appraise(evidence: Evidence, context: AppraiseContext): Promise<AttestationResult>
}
