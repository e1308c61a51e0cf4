import type { RecentlyUsed } from '../catalog/recently-used.ts'
import type { ReleaseCatalog } from '../catalog/release-catalog.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type OtaError, type Reason, type Stage } from '../errors.ts'
import type { Events, OtaEvent } from '../events.ts'
import type { Target } from '../plugin/target.ts'
import type { Policy } from '../policy/policy.ts'
import { type Resumed, resume } from '../resume.ts'
import type { Members } from '../rollout/members.ts'
import type { DeviceDeps } from '../update/device-line.ts'
import type { Observation } from '../update/observation.ts'
import { advance, recorded, type Step } from './advance.ts'
import { closed, type DeviceRecord, type OpenUpdate, type Outcome } from './device-record.ts'
import { changeRecord } from './record-store.ts'

/** What moving a device's record needs. */
export interface JourneyContext extends DeviceDeps {
  /** Who counts the ends of updates that are part of a deployment. */
  readonly members: Pick<Members, 'settle'> | undefined

  readonly policy: Policy
  readonly clock: () => Date
  readonly events: Pick<Events, 'emit'>
  readonly catalog: Pick<ReleaseCatalog, 'pinned'>
  readonly targets: readonly Target[]
  /** What each device was last seen to wait for, so that it is told once and not at every poll. */
  readonly waits: RecentlyUsed<string>
}

export interface ObserveOptions {
  readonly signal: AbortSignal
  /** The nonce that evidence was asked for with. */
  readonly nonce?: Uint8Array
  /** Before the end of an update that failed is written, so that a crash in between does it again. Once. */
  readonly beforeFailure?: (steps: readonly Step[]) => Promise<void>
}

/** What the rooms said, and the update as far as it is still open. */
export interface Observed {
  readonly steps: readonly Step[]
  readonly open: OpenUpdate | undefined
}

/**
 * Lets the rooms judge one observation of an open update, and records what they said in one compare-and-set.
 * @throws `NO_OFFER`, `OFFER_CLOSED` (invalid) where the update is not open, and what journal and registry throw
 */
export async function observe(
  context: JourneyContext,
  deviceId: string,
  seq: number,
  observed: Observation,
  options: ObserveOptions,
): Promise<Observed> {
  const { journal, clock, policy } = context
  let acted = false
  const { was, steps, after } = await changeRecord(journal, deviceId, async (record) => {
    const { open: was } = record
    if (was?.seq !== seq) throw noOffer(deviceId, seq, record)
    const from = await proofs(context, deviceId, was, options.signal)
    const now = clock()
    if ('refused' in from) {
      const refused: readonly Step[] = [{ stage: 'confirm', is: 'failed', because: from.refused }]
      const after = closed(record, 'failed', from.refused, now, false)
      return { record: after, result: { was, steps: refused, after } }
    }
    const { nonce } = options
    const taken = advance(from, observed, { attestation: demandedOf(policy, was), ...(nonce === undefined ? {} : { nonce }) }, now)
    if (!acted && taken.at(-1)?.is === 'failed') {
      acted = true
      await options.beforeFailure?.(taken)
    }
    const after = recorded(record, observed, taken, now)
    return { record: after, result: { was, steps: taken, after } }
  })
  tell(context, deviceId, was, steps)
  await counted(context, deviceId, after)
  return { steps, open: after.open }
}

/**
 * The proofs of an open update; or why it must not go on: what no longer verifies, or cannot be found any more.
 * @throws `RELEASE_UNREACHABLE` and other faults `unavailable`, and `aborted`, alone: whatever else stands in the way would stand there for ever
 */
export async function proofs(
  context: JourneyContext,
  deviceId: string,
  open: OpenUpdate,
  signal: AbortSignal,
): Promise<Resumed | { readonly refused: readonly Reason[] }> {
  try {
    return await resume(deviceId, open, context, { signal, now: context.clock() })
  } catch (error) {
    if (!isOtaError(error) || error.fault === 'unavailable' || error.fault === 'aborted') throw error
    if (error.concerns === 'access') throw unreachable(deviceId, open, error)
    return { refused: error.because }
  }
}

/** A registry that refuses this server says nothing of the release. */
export function unreachable(deviceId: string, { seq, reference }: OpenUpdate, { message, because }: OtaError): Error {
  return fail(
    'RELEASE_UNREACHABLE',
    `device ${deviceId}: expected to verify ${reference} of update ${seq} again, which stays open: ${message}`,
    {
      because,
    },
  )
}

/** Ends an open update, if it is still open and `still` holds of it; says whether it was. */
export async function endUpdate(
  context: JourneyContext,
  deviceId: string,
  seq: number,
  end: {
    /** The room that it is told of. */
    readonly stage: Stage
    readonly outcome: Exclude<Outcome, 'confirmed'>
    readonly because: readonly Reason[]
    /** Whether the device had its chance with the image. */
    readonly tried: boolean
    readonly still?: (open: OpenUpdate) => boolean
  },
): Promise<boolean> {
  const { stage, outcome, because, tried, still = () => true } = end
  const ended = await changeRecord(context.journal, deviceId, (record) => {
    const { open } = record
    if (open?.seq !== seq || !still(open)) return { record, result: undefined }
    const after = closed(record, outcome, because, context.clock(), tried)
    return { record: after, result: { open, after } }
  })
  if (ended === undefined) return false
  tell(context, deviceId, ended.open, [{ stage, is: outcome, because }])
  await counted(context, deviceId, ended.after)
  return true
}

/** What confirms an update: its deployment may demand more than the policy. */
export function demandedOf(policy: Pick<Policy, 'attestation'>, { deployment }: Pick<OpenUpdate, 'deployment'>): Policy['attestation'] {
  return deployment?.proof === true ? 'proven' : policy.attestation
}

/** Counts the end of an update in its deployment. It is journaled already: what fails here is done at the next check-in, or by the ticker. */
export async function counted({ members }: Pick<JourneyContext, 'members'>, deviceId: string, record: DeviceRecord): Promise<void> {
  try {
    await members?.settle(deviceId, record)
  } catch (error) {
    if (!isOtaError(error)) throw error
  }
}

/** Emits one event per step; what a device waits for is told when it changes. */
export function tell(
  { events, clock, waits }: Pick<JourneyContext, 'events' | 'clock' | 'waits'>,
  deviceId: string,
  { seq, version }: Pick<OpenUpdate, 'seq' | 'version'>,
  steps: readonly {
    readonly stage: Stage
    readonly is: Extract<OtaEvent, { type: 'device' }>['status']
    readonly because: readonly Reason[]
  }[],
): void {
  for (const { stage, is, because } of steps) {
    const wait = `${seq} ${stage} ${because[0]?.code}`
    if (is === 'waiting' && waits.get(deviceId) === wait) continue
    if (is === 'waiting') waits.set(deviceId, wait)
    events.emit({ type: 'device', at: clock(), stage, status: is, deviceId, seq, version, because })
  }
}

export function noOffer(deviceId: string, seq: number, { open, history, seq: last }: DeviceRecord): Error {
  const before = history.find((entry) => entry.seq === seq)
  const found = open === undefined ? 'none' : `offer ${open.seq}`
  if (before === undefined && !hasEnded(seq, last, open)) {
    return fail('NO_OFFER', `device ${deviceId}: expected an open offer ${seq}, found ${found}; check in again`)
  }
  const how = before === undefined ? '' : ` as ${before.outcome}`
  return fail('OFFER_CLOSED', `device ${deviceId}: offer ${seq} has ended${how}; check in again`, {
    details: { outcome: before?.outcome ?? null },
  })
}

/** Offers are numbered without gaps: what was given and is not open has ended, however long ago. */
function hasEnded(seq: number, last: number, open: OpenUpdate | undefined): boolean {
  return Number.isInteger(seq) && seq >= 1 && seq <= last && open?.seq !== seq
}
