import { recentlyUsed } from '../catalog/recently-used.ts'
import type { Composition } from '../composition.ts'
import type { Digest } from '../content/digest.ts'
import type { Json } from '../content/json.ts'
import { parsePlatform } from '../content/platform.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type Reason } from '../errors.ts'
import type { Principal } from '../plugin/device.ts'
import type { Target } from '../plugin/target.ts'
import type { Report } from '../update/observation.ts'
import { quoted } from '../update/quoted.ts'
import { imageOf, type Release } from '../update/release-line.ts'
import { endCanceled } from './cancel.ts'
import { closed, type DeviceRecord, type OpenUpdate } from './device-record.ts'
import { counted, endUpdate, type JourneyContext, noOffer, observe, tell, unreachable } from './observe.ts'
import type { NewUpdate } from './open-update.ts'
import { changeRecord, loadRecord, type StoredRecord, saveRecord } from './record-store.ts'
import { readAttributes } from './reported-state.ts'

/** Devices whose last wait is remembered; one that is forgotten is told once more. */
const keptWaits = 10_000

/** What the steps of a composition's journeys share. */
export function journeyContext(composition: Composition): JourneyContext {
  const { attestation, journal, policy, clock, events, catalog, targets, members } = composition
  return { attestation, journal, policy, clock, events, catalog, targets, members, waits: recentlyUsed(keptWaits) }
}

/**
 * Opens an update where nobody has opened another since the record was read.
 * @throws `JOURNAL_CONFLICT` (unavailable), and what the journal throws
 */
export async function openUpdate(
  context: JourneyContext,
  deviceId: string,
  { record, version }: StoredRecord,
  update: NewUpdate,
  because: readonly Reason[],
): Promise<OpenUpdate> {
  if (record.open !== undefined || update.seq !== record.seq + 1) {
    const found = record.open === undefined ? `${record.seq} as the last one` : `${record.open.seq} open`
    throw fail('JOURNAL_CONFLICT', `device ${deviceId}: expected to open update ${update.seq}, found ${found}`)
  }
  const next = opened(record, update, context.clock())
  await saveRecord(context.journal, deviceId, next, version)
  tell(context, deviceId, update, [
    { stage: 'admit', is: 'passed', because: [] },
    { stage: 'plan', is: 'passed', because },
  ])
  return next.open as OpenUpdate
}

/**
 * Opens the update of a device that does not report, when its download begins. Does nothing where its last update of this image ended just
 * so, or is open, or where a dialect that does report has begun another.
 */
export async function beginUpdate(
  context: JourneyContext,
  deviceId: string,
  digest: Digest,
  make: () => NewUpdate,
  because: readonly Reason[],
): Promise<void> {
  const begun = await changeRecord(context.journal, deviceId, (record) => {
    const { open, history } = record
    const same = open === undefined ? history[0]?.outcome === 'unobserved' && history[0].digest === digest : open.digest === digest
    if (same || (open?.reports === true && (open.stage !== 'plan' || open.told !== undefined))) return { record, result: undefined }
    const now = context.clock()
    const update = make()
    // The place in a deployment goes over to the new update, where it is of the same.
    const isSame = open?.deployment?.id === update.deployment?.id && open?.deployment?.attempt === update.deployment?.attempt
    const ended = closed(
      isSame ? placeless(record) : record,
      'superseded',
      [{ code: 'SUPERSEDED', message: `${update.version} is downloaded instead` }],
      now,
      false,
    )
    const next = { ...update, seq: record.seq + 1 }
    const after = opened(ended, next, now)
    return { record: after, result: { next, after } }
  })
  if (begun === undefined) return
  tell(context, deviceId, begun.next, [{ stage: 'plan', is: 'passed', because }])
  await counted(context, deviceId, begun.after)
}

function placeless(record: DeviceRecord): DeviceRecord {
  if (record.open === undefined) return record
  const { deployment: _, ...open } = record.open
  return { ...record, open }
}

/** Counts the time since an open update passed its last room from now on. */
async function waitAnew({ journal, clock }: JourneyContext, deviceId: string, seq: number): Promise<void> {
  await changeRecord(journal, deviceId, (record) =>
    record.open?.seq === seq
      ? { record: { ...record, open: { ...record.open, since: clock().toISOString() } }, result: undefined }
      : { record, result: undefined },
  )
}

/** Whether a device that took its new image for the next start may still show the old one: it restarts some time after it said so. */
export async function mayStillBoot(context: JourneyContext, deviceId: string, { seq, since }: OpenUpdate): Promise<boolean> {
  const { bootGraceMs } = context.policy
  const sinceMs = context.clock().getTime() - Date.parse(since)
  // The clock was set back: without this the device would be waited for until it has caught up.
  if (sinceMs <= -bootGraceMs) await waitAnew(context, deviceId, seq)
  return sinceMs < bootGraceMs
}

/** A push works on an open update from now on: a check-in of the same device meanwhile must not take it back, or offer another. */
export async function pushOn({ journal, clock }: JourneyContext, deviceId: string, seq: number): Promise<void> {
  await changeRecord(journal, deviceId, (record) =>
    record.open?.seq === seq
      ? { record: { ...record, open: pushed(record.open, clock()) }, result: undefined }
      : { record, result: undefined },
  )
}

/** An update that a push works on: the device has begun it, as it has one that it reports of. */
export function pushed<U extends NewUpdate>(update: U, now: Date): U {
  return { ...update, reports: true, told: update.told ?? { state: 'downloading' }, heard: now.toISOString() }
}

/** An update that a silent dialect opened goes on in one that reports. */
export async function adoptUpdate({ journal }: JourneyContext, deviceId: string, seq: number): Promise<void> {
  await changeRecord(journal, deviceId, (record) =>
    record.open?.seq === seq && !record.open.reports
      ? { record: { ...record, open: { ...record.open, reports: true } }, result: undefined }
      : { record, result: undefined },
  )
}

/**
 * Judges a device's report of its open update. One that is repeated after its answer was lost, or comes after the end, is no mistake and
 * changes nothing.
 * @throws `NO_OFFER` (invalid) for a number that was never given, and what journal and registry throw
 */
export async function reportUpdate(
  context: JourneyContext,
  who: Principal,
  seq: number,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  if (report.state === 'canceled' && (await endCanceled(context, who.deviceId, seq, report))) return
  try {
    await observe(context, who.deviceId, seq, { by: 'report', report }, { signal })
  } catch (error) {
    if (!isOtaError(error) || error.code !== 'OFFER_CLOSED') throw error
  }
}

/** Ends the update of a device that cannot report: once its image was sent `whole`, or when that will not be known any more. */
export async function endUnheard(context: JourneyContext, deviceId: string, whole = false): Promise<void> {
  const { record } = await loadRecord(context.journal, deviceId)
  const { open } = record
  if (open?.reports !== false) return
  const since = context.clock()
  const how = whole
    ? `the image was sent whole at ${since.toISOString()}`
    : `its download was begun at ${open.at}, and its end is not known`
  const because = [{ code: 'NOT_REPORTED', message: `${how}; this device does not report` }]
  await endUpdate(context, deviceId, open.seq, {
    stage: 'deliver',
    outcome: 'unobserved',
    because,
    tried: false,
    still: (now) => !now.reports,
  })
}

/**
 * The release of an open offer.
 * @throws `NO_OFFER`, `OFFER_CLOSED`, `TARGET_UNKNOWN`, `FACTS_CORRUPT`, `RELEASE_UNREACHABLE`, and what journal and registry throw
 */
export async function releaseOf(context: JourneyContext, deviceId: string, seq: number, signal: AbortSignal): Promise<Release> {
  const { record } = await loadRecord(context.journal, deviceId, signal)
  const { open } = record
  if (open?.seq !== seq) throw noOffer(deviceId, seq, record)
  const target = context.targets.find(({ name }) => name === open.target)
  if (target === undefined)
    throw fail('TARGET_UNKNOWN', `device ${deviceId}: expected target ${quoted(open.target)}, which planned its update`)
  const release = await pinnedOf(context, deviceId, open, target, signal)
  if (imageOf(release).image.descriptor.digest === open.digest) return release
  throw fail('FACTS_CORRUPT', `device ${deviceId}: expected ${open.reference} to hold image ${open.digest}, found another`)
}

async function pinnedOf(
  { catalog }: JourneyContext,
  deviceId: string,
  open: OpenUpdate,
  target: Target,
  signal: AbortSignal,
): Promise<Release> {
  try {
    return await catalog.pinned(open.reference, open.platforms.map(parsePlatform), target, signal)
  } catch (error) {
    throw isOtaError(error) && error.concerns === 'access' ? unreachable(deviceId, open, error) : error
  }
}

/** @throws `INVALID_STATE`, and what the journal throws */
export async function changeAttributes(
  { journal }: JourneyContext,
  deviceId: string,
  data: Readonly<Record<string, Json>>,
  mode: 'merge' | 'replace' | 'remove',
): Promise<void> {
  await changeRecord(journal, deviceId, (record) => {
    const before = record.attributes ?? {}
    const attributes = merged(before, data, mode)
    const same = JSON.stringify(attributes) === JSON.stringify(before)
    return { record: same ? record : { ...record, attributes }, result: undefined }
  })
}

function opened(record: DeviceRecord, update: NewUpdate, now: Date): DeviceRecord {
  const at = now.toISOString()
  return { ...record, seq: update.seq, open: { ...update, at, since: at } }
}

function merged(
  before: Readonly<Record<string, Json>>,
  data: Readonly<Record<string, Json>>,
  mode: 'merge' | 'replace' | 'remove',
): Readonly<Record<string, Json>> {
  if (mode === 'replace') return data
  if (mode === 'merge') return readAttributes({ ...before, ...data })
  return Object.fromEntries(Object.entries(before).filter(([key]) => !Object.hasOwn(data, key)))
}
