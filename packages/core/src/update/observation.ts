import type { Digest } from '../content/digest.ts'
import type { Reason } from '../errors.ts'
import type { Installed } from '../plugin/device.ts'
import type { AttestationResult } from '../plugin/evidence-verifier.ts'

/**
 * How far an update has come, in the words of whoever carries it out. `cancel-refused` says that a device goes on which was asked to stop: nothing else
 * of its update has changed.
 */
export const reportStates = [
  'downloading',
  'downloaded',
  'installing',
  'installed',
  'confirmed',
  'failed',
  'rejected',
  'canceled',
  'cancel-refused',
  'rolled-back',
] as const

/** What a device says of one update. */
export interface Report {
  readonly state: (typeof reportStates)[number]
  /** Bytes received so far. */
  readonly received?: number
  readonly code?: string
  readonly messages?: readonly string[]
}

/** What was seen, and by whom. Acting (a driver pushes, a device pulls) produces observations; rooms only judge them. */
export type Observation =
  | { readonly by: 'read-back'; readonly digest: Digest; readonly size: number; readonly crc32?: number }
  | { readonly by: 'report'; readonly report: Report }
  | { readonly by: 'check-in'; readonly installed: Installed }
  | { readonly by: 'evidence'; readonly result: AttestationResult }
  | { readonly by: 'none'; readonly since: Date }

/** A judgement: the next proof, or why not (yet). */
export type Verdict<P> =
  | { readonly is: 'passed'; readonly proof: P }
  | { readonly is: 'waiting' | 'unobserved' | 'failed'; readonly because: readonly Reason[] }
