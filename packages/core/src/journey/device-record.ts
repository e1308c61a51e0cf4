import type { Digest } from '../content/digest.ts'
import type { Json } from '../content/json.ts'
import type { Reason } from '../errors.ts'
import type { DeviceState, Installed, Principal } from '../plugin/device.ts'
import type { Report } from '../update/observation.ts'

/**
 * The facts of one device, stored as one journal entry so that every step of an update is one compare-and-set. Facts, never proofs: what
 * is read back is believed only as far as the rooms can derive it again. With every part at its limit an entry stays below what a journal
 * value may have: a device must never be able to fill its own record.
 */
export interface DeviceRecord {
  readonly v: 1
  /** The last number given to an offer. */
  readonly seq: number
  readonly open?: OpenUpdate
  /** Newest first. */
  readonly history: readonly ClosedUpdate[]
  /** What the device told of itself. */
  readonly attributes?: Readonly<Record<string, Json>>
}

export type OpenStage = 'plan' | 'deliver' | 'install'

/** An update on its way. Times are ISO 8601. */
export interface OpenUpdate {
  readonly seq: number
  readonly at: string
  /** The last room passed. */
  readonly stage: OpenStage
  /** When that was. */
  readonly since: string
  /** Pinned by digest. */
  readonly reference: string
  readonly tag?: string
  readonly version: string
  readonly digest: Digest
  readonly target: string
  readonly platforms: readonly string[]
  readonly plan: Json
  /** The revision of the policy that it was planned under. */
  readonly policy: string
  readonly device: Omit<DeviceState, 'id'>
  readonly by: Principal['by']
  /** The evidence that it was admitted with, and its nonce; base64. */
  readonly presented?: { readonly mediaType: string; readonly body: string; readonly nonce: string }
  /** What the passed rooms judged, in their order: at most one for `deliver` and one for `install`. */
  readonly observations: readonly StoredObservation[]
  /** False for a dialect whose devices never report. */
  readonly reports: boolean
  /** The last report. */
  readonly told?: Report
  /** When that came, to the minute. */
  readonly heard?: string
  readonly deployment?: UpdateDeployment
  readonly cancel?: AskedToCancel
}

/** A device that has begun its update was asked to stop: written down before it is told. */
export interface AskedToCancel {
  readonly at: string
  readonly because: readonly Reason[]
  /** It goes on, and is not asked again. */
  readonly refused?: true
}

/** An observation that passed a room. Evidence ends an update, so it is never stored here. */
export type StoredObservation =
  | { readonly by: 'read-back'; readonly digest: Digest; readonly size: number; readonly crc32?: number }
  | { readonly by: 'report'; readonly report: Report }
  | { readonly by: 'check-in'; readonly installed: Installed }

export type Outcome = 'confirmed' | 'failed' | 'unobserved' | 'superseded'

/** The deployment that an update is part of. */
export interface UpdateDeployment {
  readonly id: string
  readonly attempt: number
  /** Only evidence confirms it. */
  readonly proof: boolean
}

export interface ClosedUpdate {
  readonly seq: number
  readonly at: string
  readonly outcome: Outcome
  readonly version: string
  readonly digest: Digest
  readonly because: readonly Reason[]
  /** Whether the device had its chance with this image; one that the server took back was not tried. */
  readonly tried: boolean
  readonly deployment?: UpdateDeployment
  /** It was confirmed by evidence. */
  readonly attested?: true
}

/** Closed updates kept per device: enough to see a pattern and to count attempts. */
export const historyLimit = 16
/** Reasons kept of a closed update, and characters of each. */
const reasonLimit = 8
const reasonLength = 256

export const emptyRecord: DeviceRecord = Object.freeze({ v: 1, seq: 0, history: [] })

/** Closes the open update of a record. */
export function closed(
  record: DeviceRecord,
  outcome: Outcome,
  because: readonly Reason[],
  at: Date,
  tried: boolean,
  attested = false,
): DeviceRecord {
  const { open, ...rest } = record
  if (open === undefined) return record
  const { seq, version, digest, deployment } = open
  const entry: ClosedUpdate = {
    seq,
    at: at.toISOString(),
    outcome,
    version,
    digest,
    because: clippedReasons(because),
    tried,
    ...(deployment === undefined ? {} : { deployment }),
    ...(attested ? { attested } : {}),
  }
  return { ...rest, history: [entry, ...record.history].slice(0, historyLimit) }
}

/** How often this device has had its chance with this image in vain, since it last got anything confirmed. */
export function failedAttempts({ history }: DeviceRecord, digest: Digest): number {
  const confirmedAt = history.findIndex(({ outcome }) => outcome === 'confirmed')
  const since = confirmedAt < 0 ? history : history.slice(0, confirmedAt)
  return since.filter((entry) => entry.tried && entry.digest === digest && (entry.outcome === 'failed' || entry.outcome === 'unobserved'))
    .length
}

/** The version under which a device was seen to run an image: what a device says of its version is a name, and its image may have another. */
export function knownVersion({ history }: DeviceRecord, digest: Digest | undefined): string | undefined {
  return digest === undefined ? undefined : history.find((entry) => entry.outcome === 'confirmed' && entry.digest === digest)?.version
}

// Devices and verifiers say why at length; the journal keeps enough to recognise it.
export function clippedReasons(because: readonly Reason[]): readonly Reason[] {
  return because
    .slice(0, reasonLimit)
    .map(({ code, message }) => ({ code: code.slice(0, reasonLength), message: message.slice(0, reasonLength) }))
}
