import { recentlyUsed } from '../catalog/recently-used.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type Reason } from '../errors.ts'
import type { DeviceRecord, UpdateDeployment } from '../journey/device-record.ts'
import type { DeviceState } from '../plugin/device.ts'
import { selects, tooManyFail } from '../plugin/fleet-rules.ts'
import type { Deployment, FleetDevice, FleetStore } from '../plugin/fleet-store.ts'
import { type Decision, decide, governing } from './decide.ts'
import { createFleetView } from './fleet-view.ts'
import { failureReason } from './health.ts'
import { settlementsOf } from './settlement.ts'

/** Takes the devices that check in through the deployments of a fleet: what the gateway asks before it offers anything. */
export interface Members {
  /** What the deployments say of a device, which is registered with this. @throws what the fleet store throws */
  decide(device: DeviceState, record: DeviceRecord, signal: AbortSignal): Decision | Promise<Decision>
  /** Takes a place for a device that may have one; or why it gets none. @throws `FLEET_CONFLICT`, and what the fleet store throws */
  claim(device: DeviceState, deployment: Deployment, reports: boolean, signal: AbortSignal): Promise<Place>
  /** Whether an offer that was made, and is not begun, still stands. */
  standing(device: DeviceState, offer: Offered, signal: AbortSignal): Promise<Standing>
  /** Why the deployment of an offer does not govern the device any more; undefined where it does. Asks the fleet store for nothing that is known. */
  taken(device: DeviceState, offer: Offered, signal: AbortSignal): Promise<readonly Reason[] | undefined>
  /** Counts the ends that a device's record knows of; once, however often it is called. */
  settle(deviceId: string, record: DeviceRecord): Promise<void>
}

interface Offered {
  readonly deployment?: UpdateDeployment | undefined
}

export type Place = { readonly deployment: UpdateDeployment } | { readonly deployment?: never; readonly because: readonly Reason[] }

/** `held` is not repeated now and may be later; `taken` is over. */
export type Standing =
  | { readonly is: 'stands'; readonly deployment: Deployment }
  | { readonly is: 'held' | 'taken'; readonly because: readonly Reason[] }

/** Ends that are known to be counted, and devices known to need nothing; one that is forgotten is asked about once more. */
const keptMarks = 250_000

export function createMembers(fleet: FleetStore, clock: () => Date): Members {
  const view = createFleetView(fleet, clock)
  const settled = recentlyUsed<number>(keptMarks)
  const skipped = recentlyUsed<string>(keptMarks)

  const isSettled = (deviceId: string, { history: [newest] }: DeviceRecord): boolean =>
    newest?.deployment === undefined || settled.get(deviceId) === newest.seq

  async function settle(deviceId: string, record: DeviceRecord): Promise<void> {
    const newest = record.history[0]
    if (newest === undefined || isSettled(deviceId, record)) return
    // Those before it were settled before this one was opened; what a crash left uncounted, the ticker finds.
    const [settlement] = settlementsOf(deviceId, { history: [newest] })
    if (settlement !== undefined) await fleet.settle(settlement)
    settled.set(deviceId, newest.seq)
  }

  // A device of the wave that runs the version already will never confirm it: it must not be waited for.
  async function skip(member: FleetDevice, { id }: Deployment): Promise<void> {
    const { is } = await claimed(member, id, 'skipped')
    // A full wave may be followed by one that has room.
    if (is === 'taken' || is === 'ended') skipped.set(member.id, id)
  }

  async function claimed(member: FleetDevice, deployment: string, as: 'offered' | 'skipped', signal?: AbortSignal) {
    const claim = { deployment, device: member.id, deviceVersion: member.version, as, at: clock().toISOString() }
    try {
      return await fleet.claim(claim, signal === undefined ? undefined : { signal })
    } catch (error) {
      if (isOtaError(error) && error.code === 'FLEET_CONFLICT') view.forget(member.id)
      throw error
    }
  }

  async function looked(device: DeviceState, open: ReturnType<typeof view.open>, signal: AbortSignal): Promise<Decision> {
    // Looked at first: labels that have changed make the members be read anew.
    const deployments = await open
    return decided(device, deployments, await view.member(device, signal))
  }

  function decided({ installed }: DeviceState, open: readonly Deployment[], member: FleetDevice): Decision | Promise<Decision> {
    // What a device says now counts, also where it cannot be stored.
    const isSame = installed === undefined || installed.version === member.installed
    const decision = decide(isSame ? member : { ...member, installed: installed.version }, open)
    if (decision.is !== 'current' || !decision.counts || installed?.state === 'pending') return decision
    return skipped.get(member.id) === decision.deployment.id ? decision : skip(member, decision.deployment).then(() => decision)
  }

  // Read anew: the view does not see what is counted, and few devices ask twice before they begin.
  async function stillGood(governs: Deployment, signal: AbortSignal): Promise<Standing> {
    const now = (await fleet.deployment(governs.id, { signal })) ?? governs
    return tooManyFail(now) ? { is: 'held', because: [failureReason(now)] } : { is: 'stands', deployment: governs }
  }

  type Held = { readonly taken: readonly Reason[] } | { readonly taken?: never; readonly governs: Deployment }

  async function held(device: DeviceState, { deployment }: Offered, signal: AbortSignal): Promise<Held> {
    const open = await view.open()
    const governs = governing(await view.member(device, signal), open)
    if (deployment !== undefined && governs?.id === deployment.id) return { governs }
    const other = governs === undefined ? 'no deployment' : `deployment ${governs.id}`
    const was = deployment === undefined ? 'none' : `deployment ${deployment.id}`
    return { taken: [{ code: 'SUPERSEDED', message: `offered in ${was}; ${other} governs the device now` }] }
  }

  return {
    settle,
    decide(device, record, signal) {
      if (!isSettled(device.id, record)) return settle(device.id, record).then(() => looked(device, view.open(), signal))
      const open = view.open()
      // This very promise is awaited: one that nobody hears reject would end the process.
      if (open instanceof Promise) return looked(device, open, signal)
      const member = view.member(device, signal)
      if (member instanceof Promise) return member.then((known) => decided(device, open, known))
      return decided(device, open, member)
    },
    async claim(device, deployment, reports, signal) {
      const { id, proof, selector } = deployment
      const member = await view.member(device, signal)
      // Its labels have changed since it was decided: the check-in begins anew.
      if (!selects(selector, member))
        throw fail('FLEET_CONFLICT', `device ${member.id}: expected it to be selected by ${id}, found other labels`)
      const answer = await claimed(member, id, 'offered', signal)
      const place = (attempt: number): Place => ({ deployment: { id, attempt, proof } })
      if (answer.is === 'taken' || answer.is === 'standing') return place(answer.update.attempt)
      if (answer.is === 'full') {
        return { because: [{ code: 'WAVE_FULL', message: `deployment ${id}: every place of the open wave is taken` }] }
      }
      if (answer.is === 'not-running') {
        return { because: [{ code: 'DEPLOYMENT_PAUSED', message: `deployment ${id} does not run` }] }
      }
      if (answer.is === 'failing') {
        return { because: [{ code: 'TOO_MANY_FAILURES', message: `deployment ${id}: as many devices have failed as pause it` }] }
      }
      const { state, attempt, because } = answer.update
      // What never reports may have lost its download: it is told the same again, and counted once.
      if (state === 'unobserved' && !reports) return place(attempt)
      return { because: [{ code: 'UPDATE_ENDED', message: `its update in deployment ${id} has ended as ${state}` }, ...because] }
    },
    async standing(device, offer, signal) {
      const now = await held(device, offer, signal)
      if (now.taken !== undefined) return { is: 'taken', because: now.taken }
      const { governs } = now
      if (governs.state === 'running') return stillGood(governs, signal)
      return { is: 'held', because: [{ code: 'DEPLOYMENT_PAUSED', message: `deployment ${governs.id} is paused` }, ...governs.because] }
    },
    taken: async (device, offer, signal) => (await held(device, offer, signal)).taken,
  }
}
