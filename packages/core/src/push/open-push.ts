import { type Choice, chooseRelease } from '../catalog/choose-release.ts'
import { repositoryOf } from '../catalog/repository-of.ts'
import type { Composition } from '../composition.ts'
import { parsePlatform } from '../content/platform.ts'
import { formatReference, parseReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import type { DeviceRecord, OpenUpdate } from '../journey/device-record.ts'
import { openUpdate, pushed, pushOn } from '../journey/journeys.ts'
import { endUpdate, type JourneyContext, proofs } from '../journey/observe.ts'
import { newUpdate } from '../journey/open-update.ts'
import { loadRecord } from '../journey/record-store.ts'
import type { DeviceState } from '../plugin/device.ts'
import type { Target } from '../plugin/target.ts'
import { mayInstall } from '../policy/may-install.ts'
import { admit } from '../update/admit.ts'
import type { Admitted, Planned, Presented } from '../update/device-line.ts'
import { plan } from '../update/plan.ts'
import { imageOf, type Release } from '../update/release-line.ts'
import { type Challenged, presentedFor } from './present-evidence.ts'

export interface PushScene extends Challenged {
  readonly composition: Composition
  readonly context: JourneyContext
  readonly target: Target
  /** Repository with tag or digest; undefined for the highest version that this device may have. */
  readonly reference: string | undefined
  readonly signal: AbortSignal
}

/** An update that is open in the journal, and its release. */
export interface OpenPush {
  readonly open: OpenUpdate
  readonly release: Release
}

/**
 * Goes on with the update that was cut short, with its stored plan, where it is the one that is asked for; plans and opens another otherwise.
 * @throws `PLAN_REFUSED`, `EVIDENCE_REQUIRED`, `EVIDENCE_REFUSED` (rejected), `JOURNAL_CONFLICT` (unavailable), and what the rooms throw
 */
export async function openPush(scene: PushScene, seen: DeviceState): Promise<OpenPush> {
  const { composition, context, target, reference, signal } = scene
  const { record } = await loadRecord(composition.journal, seen.id, signal)
  const { open } = record
  // What has begun is finished first: beside a half-written or unconfirmed image nothing else can be planned.
  const begun = open !== undefined && (open.stage !== 'plan' || seen.installed?.digest === open.digest)
  if (begun && reference === undefined && open.target === target.name) {
    const adopted = await adopt(scene, seen, open)
    if (adopted !== undefined) return adopted
  }
  if (reference === undefined) return planHighest(scene, seen)
  const release = await named(scene, reference, seen)
  if (open !== undefined && isOf(open, release, target)) {
    const adopted = await adopt(scene, seen, open)
    if (adopted !== undefined) return adopted
  }
  const { proof, presented } = await admission(scene, seen)
  const fresh = await loadRecord(context.journal, seen.id, signal)
  return openAnew(scene, plan(`${seen.id}/${fresh.record.seq + 1}`, proof, release, target), presented)
}

async function named({ composition, target, signal }: PushScene, reference: string, seen: DeviceState): Promise<Release> {
  const { catalog } = composition
  const { repository, tag, digest } = parseReference(reference)
  const platforms = target.platforms(seen)
  if (digest !== undefined) return catalog.pinned(formatReference({ repository, digest }), platforms, target, signal)
  if (tag !== undefined) return catalog.tagged(repository, tag, platforms, target, signal)
  throw fail('INVALID_REFERENCE', `${reference}: expected a tag or a digest; without a reference the highest version is pushed`)
}

// The same walk as a check-in's: a junk tag on top, a floor, or an image that failed before does not end it.
async function planHighest(scene: PushScene, seen: DeviceState): Promise<OpenPush> {
  const { composition, target, signal } = scene
  const { catalog, policy, times, options, journal } = composition
  const repository = repositoryOf(options.repository, seen)
  const snapshot = await catalog.versions(repository, signal)
  const { proof, presented } = await admission(scene, seen)
  const { record } = await loadRecord(journal, seen.id, signal)
  const planOf = (release: Release): Planned => plan(`${seen.id}/${record.seq + 1}`, proof, release, target)
  const walk = { snapshot, repository, target, catalog, policy, prepareMs: times.releaseMs, signal, plan: planOf }
  const { planned } = expectPlanned(seen, await chooseRelease(seen, record, walk))
  if (record.open !== undefined && isOf(record.open, planned.release, target)) {
    const adopted = await adopt(scene, seen, record.open)
    if (adopted !== undefined) return adopted
  }
  return openAnew(scene, planned, presented)
}

function expectPlanned({ id }: DeviceState, choice: Choice): { readonly planned: Planned } {
  if (choice.planned !== undefined) return choice
  if (choice.undecided !== undefined) throw choice.undecided
  const { because } = choice
  const why = because.map(({ message }) => message).join('; ')
  throw fail('PLAN_REFUSED', `device ${id}: expected a release that it may have, found none: ${why}`, { stage: 'plan', because })
}

function isOf(open: OpenUpdate, release: Release, target: Target): boolean {
  return open.digest === imageOf(release).image.descriptor.digest && open.target === target.name
}

// Undefined where it must not go on: it ends, and what is asked for is planned anew.
async function adopt(scene: PushScene, seen: DeviceState, open: OpenUpdate): Promise<OpenPush | undefined> {
  const { context, composition, target, signal } = scene
  const from = await proofs(context, seen.id, open, signal)
  if ('refused' in from) {
    const end = { stage: 'confirm', outcome: 'failed', because: from.refused, tried: false } as const
    await endUpdate(context, seen.id, open.seq, end)
    return undefined
  }
  const release = await composition.catalog.pinned(open.reference, open.platforms.map(parsePlatform), target, signal)
  // The device may have come by something newer since this was planned.
  const shows = seen.installed?.digest === open.digest ? undefined : seen.installed
  const against = mayInstall(release.held.verified, shows).filter(
    ({ code }) => code !== 'PENDING_CONFIRMATION' && code !== 'ALREADY_INSTALLED',
  )
  if (open.stage !== 'install' && against.length > 0) return undefined
  await pushOn(context, seen.id, open.seq)
  return { open, release }
}

async function openAnew(scene: PushScene, planned: Planned, presented: Presented | undefined): Promise<OpenPush> {
  const { context, composition, target, signal } = scene
  const { id } = planned.admitted.device
  const { record } = await loadRecord(context.journal, id, signal)
  if (record.open !== undefined) await supersede(context, id, record, planned)
  const stored = await loadRecord(context.journal, id, signal)
  const how = { reports: true, policy: composition.policy.revision, presented }
  const update = pushed(newUpdate(stored.record.seq + 1, planned, target, how), context.clock())
  return { open: await openUpdate(context, id, stored, update, planned.because), release: planned.release }
}

async function supersede(context: JourneyContext, deviceId: string, { open }: DeviceRecord, { release }: Planned): Promise<void> {
  if (open === undefined) return
  const because = [{ code: 'SUPERSEDED', message: `${release.held.verified.version} is pushed instead` }]
  await endUpdate(context, deviceId, open.seq, { stage: 'plan', outcome: 'superseded', because, tried: false })
}

async function admission(scene: PushScene, seen: DeviceState): Promise<{ readonly proof: Admitted; readonly presented?: Presented }> {
  const { composition, connection, signal } = scene
  const { policy, clock } = composition
  const presented = policy.attestation === 'none' ? undefined : await presentedFor(scene, 'admit')
  const proof = await admit(seen, connection.principal, presented, composition, { signal, now: clock() })
  return { proof, ...(presented === undefined ? {} : { presented }) }
}
