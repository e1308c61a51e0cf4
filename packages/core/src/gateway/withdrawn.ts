import type { Choice } from '../catalog/choose-release.ts'
import { upToDate } from '../catalog/choose-release.ts'
import type { Snapshot } from '../catalog/tag-shelves.ts'
import { isOtaError, type Reason } from '../errors.ts'
import type { OpenUpdate } from '../journey/device-record.ts'
import type { DeviceState } from '../plugin/device.ts'
import { mayInstall } from '../policy/may-install.ts'
import type { Policy } from '../policy/policy.ts'
import type { Planned } from '../update/device-line.ts'
import { imageOf } from '../update/release-line.ts'
import { unlisted } from './unlisted.ts'

/** A device that began a download and was not heard of for so long has given it up: no report of a download is farther apart. */
const begunMs = 3_600_000

/** Every reason why an open offer must not be repeated to the device as it shows itself now. */
export function unfit({ installed, model }: DeviceState, open: OpenUpdate, { release }: Planned): readonly Reason[] {
  const before = open.device.model
  const changed = model !== undefined && before !== undefined && model !== before
  const message = `planned for model ${before}, the device says that it is ${model}`
  return [
    ...(changed ? [{ code: 'MODEL_CHANGED', message }] : []),
    ...mayInstall(release.held.verified, installed).filter(({ code }) => code !== 'PENDING_CONFIRMATION'),
  ]
}

/**
 * Whether an offer that the device has not begun is no longer the one that it would get: a newer release came, or this one was taken back.
 * While nothing better is known, the offer stands.
 */
export async function withdrawn(
  device: DeviceState,
  open: OpenUpdate,
  options: {
    readonly now: Date
    readonly policy: Pick<Policy, 'revision'>
    readonly versions: () => Snapshot | Promise<Snapshot>
    readonly choose: (snapshot: Snapshot) => Promise<Choice>
  },
): Promise<boolean> {
  const now = options.now.getTime()
  if (open.stage !== 'plan' || hasBegun(open, now)) return false
  if (open.policy !== options.policy.revision) return true
  let snapshot: Snapshot
  try {
    snapshot = await options.versions()
  } catch (error) {
    if (unlisted(error) !== undefined || isUnavailable(error)) return false
    throw error
  }
  try {
    // Another replica may have seen newer tags than this one has: what is older than the offer says nothing about it.
    const offeredAt = Date.parse(open.at)
    if (snapshot.at <= offeredAt && offeredAt <= now) return false
    if (upToDate(snapshot, device)) return true
    const choice = await options.choose(snapshot)
    if (choice.planned === undefined) return choice.undecided === undefined
    return imageOf(choice.planned.release).image.descriptor.digest !== open.digest
  } catch (error) {
    if (isUnavailable(error)) return false
    throw error
  }
}

/** Whether what was asked may answer later: what is under way goes on meanwhile. */
export function isUnavailable(error: unknown): boolean {
  return isOtaError(error) && error.fault === 'unavailable'
}

/** Whether a device is at work on its offer: such an offer is not taken back. */
export function hasBegun({ told, heard }: OpenUpdate, now: number): boolean {
  return told !== undefined && (heard === undefined || Math.abs(now - Date.parse(heard)) < begunMs)
}

/** Whether a device was asked to stop, and nothing was heard of it for so long since: it will not answer any more. */
export function isUnanswered(open: OpenUpdate, now: number): boolean {
  const { cancel } = open
  return cancel !== undefined && cancel.refused !== true && Math.abs(now - Date.parse(cancel.at)) >= begunMs && !hasBegun(open, now)
}

/**
 * Whether a silent download was begun so long ago that its end is not to be waited for: that all was sent is noted when it was, unless the
 * server died or its disk was full just then.
 */
export function isUnheard({ reports, at }: OpenUpdate, now: Date): boolean {
  return !reports && Math.abs(now.getTime() - Date.parse(at)) >= begunMs
}
