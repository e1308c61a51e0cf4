import type { Digest } from '../content/digest.ts'
import { isDigest } from '../content/digest.ts'
import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'
import type { Reason } from '../errors.ts'
import type { Installed, Principal } from '../plugin/device.ts'
import type { Journal } from '../plugin/journal.ts'
import type { Report } from '../update/observation.ts'

/**
 * The facts of one device, stored as one journal entry so that every step of an update is one compare-and-set. Facts, never proofs: what
 * is read back is believed only as far as the rooms can derive it again.
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

/** An update on its way. */
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
  readonly device: { readonly model?: string; readonly installed?: Installed; readonly attributes?: Readonly<Record<string, Json>> }
  readonly by: Principal['by']
  /** The evidence that it was admitted with, and its nonce; base64. */
  readonly presented?: { readonly mediaType: string; readonly body: string; readonly nonce: string }
  /** What the passed rooms judged, in their order. */
  readonly observations: readonly StoredObservation[]
  /** False for a dialect whose devices never report. */
  readonly reports: boolean
  /** The last report, as it came. */
  readonly told?: Report
}

/** An observation that passed a room. Evidence ends an update, so it is never stored here. */
export type StoredObservation =
  | { readonly by: 'read-back'; readonly digest: Digest; readonly size: number; readonly crc32?: number }
  | { readonly by: 'report'; readonly report: Report }
  | { readonly by: 'check-in'; readonly installed: Installed }

export interface ClosedUpdate {
  readonly seq: number
  readonly at: string
  readonly outcome: 'confirmed' | 'failed' | 'unobserved' | 'superseded'
  readonly version: string
  readonly digest: Digest
  readonly because: readonly Reason[]
}

/** Closed updates kept per device: enough to see a pattern and to count attempts. */
export const historyLimit = 16

export const emptyRecord: DeviceRecord = Object.freeze({ v: 1, seq: 0, history: [] })

export interface StoredRecord {
  readonly record: DeviceRecord
  /** For the compare-and-set; null where nothing is stored yet. */
  readonly version: string | null
}

const key = (deviceId: string): string => `device/${deviceId}`

export async function loadRecord(journal: Journal, deviceId: string, signal?: AbortSignal): Promise<StoredRecord> {
  const entry = await journal.get(key(deviceId), signal === undefined ? undefined : { signal })
  return entry === undefined
    ? { record: emptyRecord, version: null }
    : { record: parseRecord(deviceId, entry.value), version: entry.version }
}

/** @throws `JOURNAL_CONFLICT` where somebody else wrote in between: load again and decide anew */
export async function saveRecord(journal: Journal, deviceId: string, record: DeviceRecord, version: string | null): Promise<string> {
  return journal.put(key(deviceId), record as unknown as Json, { ifVersion: version })
}

/** Closes the open update of a record. */
export function closed(record: DeviceRecord, outcome: ClosedUpdate['outcome'], because: readonly Reason[], at: Date): DeviceRecord {
  const { open, ...rest } = record
  if (open === undefined) return record
  const entry: ClosedUpdate = {
    seq: open.seq,
    at: at.toISOString(),
    outcome,
    version: open.version,
    digest: open.digest,
    because: because.slice(0, 16),
  }
  return { ...rest, history: [entry, ...record.history].slice(0, historyLimit) }
}

/** How often this image has already failed on this device, since it last got anything confirmed. */
export function failedAttempts({ history }: DeviceRecord, digest: Digest): number {
  const confirmedAt = history.findIndex(({ outcome }) => outcome === 'confirmed')
  return history
    .slice(0, confirmedAt < 0 ? history.length : confirmedAt)
    .filter((entry) => entry.outcome === 'failed' && entry.digest === digest).length
}

// The journal is not a root of trust: only what the rooms cannot derive again is believed, so the shape is checked and no more.
function parseRecord(deviceId: string, value: Json): DeviceRecord {
  const record = value as unknown as DeviceRecord
  const good =
    typeof value === 'object' &&
    value !== null &&
    record.v === 1 &&
    Number.isSafeInteger(record.seq) &&
    record.seq >= 0 &&
    Array.isArray(record.history) &&
    (record.open === undefined || openIsGood(record.open))
  if (good) return record
  throw fail(
    'FACTS_CORRUPT',
    `device ${deviceId}: expected a version 1 record in the journal, found something else; restore the journal or delete the entry`,
  )
}

function openIsGood(open: OpenUpdate): boolean {
  return (
    typeof open === 'object' &&
    open !== null &&
    Number.isSafeInteger(open.seq) &&
    typeof open.reference === 'string' &&
    typeof open.version === 'string' &&
    typeof open.target === 'string' &&
    isDigest(open.digest) &&
    Array.isArray(open.platforms) &&
    Array.isArray(open.observations) &&
    ['plan', 'deliver', 'install'].includes(open.stage)
  )
}
