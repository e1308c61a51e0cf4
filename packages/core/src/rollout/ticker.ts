import { setTimeout as pause } from 'node:timers/promises'
import type { Composition } from '../composition.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type Reason } from '../errors.ts'
import { type DeviceRecord, emptyRecord } from '../journey/device-record.ts'
import { loadRecord } from '../journey/record-store.ts'
import { longestLeaseMs, openDeploymentLimit, placesTaken } from '../plugin/fleet-rules.ts'
import type { AuditEntry, Deployment, DeploymentProgress, FleetStore, Lease } from '../plugin/fleet-store.ts'
import { startOf } from './cohort.ts'
import { progressOf } from './deployment.ts'
import { leftPlaces } from './health.ts'
import { reconcile } from './reconcile.ts'
import { settlementsOf } from './settlement.ts'
import { redatedWave, startedWave } from './wave.ts'

/** One look at all deployments. */
export interface Tick {
  /** Whether this process drives the deployments. */
  readonly leads: boolean
  /** What was done, by deployment. */
  readonly steps: readonly { readonly deployment: string; readonly do: 'start' | 'pause' | 'stop'; readonly because: readonly Reason[] }[]
}

/** Drives the deployments of a fleet; any number of processes may have one, and one of them leads. */
export interface Ticker {
  tick(signal?: AbortSignal): Promise<Tick>
  /** Ticks until the signal fires; what fails is tried again at the next tick. */
  run(signal: AbortSignal): Promise<void>
}

export interface TickerOptions {
  /** Who holds the lease: another name for each process. */
  readonly holder: string
  /** Milliseconds between two ticks; 1000 where absent. */
  readonly everyMs?: number
  /** Milliseconds until another takes over from a process that died; 10000 where absent. */
  readonly leaseMs?: number
  /** Milliseconds between two counts of the devices that may still come to an open wave; 60000 where absent. */
  readonly countMs?: number
}

export const leaseName = 'rollout'
/** Updates looked up per tick and deployment: ends that were journaled by a process that died before it could count them. */
const lookedUp = 200
/** Counting who may still come reads every device of a wave: it takes one part in so many of the time at most. */
const countShare = 100
/** An offer this young is nobody's loss yet. */
const lossMs = 10_000

/** @throws `INVALID_OPTIONS` */
export function createTicker(
  fleet: FleetStore,
  { journal, clock, events }: Pick<Composition, 'journal' | 'clock' | 'events'>,
  { holder, everyMs = 1_000, leaseMs = 10_000, countMs = 60_000 }: TickerOptions,
): Ticker {
  for (const [name, value] of Object.entries({ everyMs, leaseMs, countMs })) {
    if (!Number.isInteger(value) || value < 1 || value > longestLeaseMs)
      throw fail('INVALID_OPTIONS', `${name}: expected milliseconds from 1 to ${longestLeaseMs}, found ${String(value)}`)
  }
  /** When the devices that may still come were counted last, and when they are counted next, by deployment. */
  const counted = new Map<string, { readonly at: number; readonly next: number }>()
  /** Where the look-up of each deployment goes on. */
  const cursors = new Map<string, string>()

  async function tick(signal?: AbortSignal): Promise<Tick> {
    const now = clock()
    const o = signal === undefined ? {} : { signal }
    const lease = await fleet.lease(leaseName, holder, { now, until: new Date(now.getTime() + leaseMs) }, o)
    if (lease === undefined) return { leads: false, steps: [] }
    const steps: Tick['steps'][number][] = []
    const open = await fleet.deployments({ open: true, limit: openDeploymentLimit }, o)
    // Driven first: what is looked up in the journal takes its time, and may fail, and a wave that fails must be paused all the same.
    for (const deployment of open) {
      const current = await fleet.deployment(deployment.id, o)
      const step = current === undefined ? undefined : await drive(current, lease, signal)
      if (step !== undefined) steps.push({ deployment: deployment.id, ...step })
    }
    for (const id of counted.keys()) if (!open.some((other) => other.id === id)) counted.delete(id)
    const ended = (await fleet.deployments({ limit: openDeploymentLimit }, o)).filter(({ id }) => !open.some((other) => other.id === id))
    for (const deployment of [...open, ...ended]) await settleLost(deployment, signal)
    return { leads: true, steps }
  }

  async function settleLost({ id, counters }: Deployment, signal: AbortSignal | undefined): Promise<void> {
    if (counters.offered === 0) {
      cursors.delete(id)
      return
    }
    const after = cursors.get(id)
    const query = { deployment: id, state: 'offered', limit: lookedUp, ...(after === undefined ? {} : { after }) } as const
    const rows = await fleet.updates(query, signal === undefined ? {} : { signal })
    const now = clock().getTime()
    for (const { device, at } of rows) {
      // What was offered in the future was offered before the clock was set back.
      if (Math.abs(now - Date.parse(at)) < lossMs) continue
      const record = await recordOf(device, signal)
      for (const settlement of settlementsOf(device, record)) if (settlement.deployment === id) await fleet.settle(settlement)
    }
    const last = rows.at(-1)
    if (last === undefined || rows.length < lookedUp) cursors.delete(id)
    else cursors.set(id, last.device)
  }

  // A damaged record is told to its device at each check-in; it must not keep the ends of all others from being counted.
  async function recordOf(device: string, signal: AbortSignal | undefined): Promise<DeviceRecord> {
    try {
      return (await loadRecord(journal, device, signal)).record
    } catch (error) {
      if (isOtaError(error) && error.code === 'FACTS_CORRUPT') return emptyRecord
      throw error
    }
  }

  async function drive(deployment: Deployment, lease: Lease, signal: AbortSignal | undefined) {
    const now = clock()
    const first = reconcile(deployment, now)
    const step = first.do === 'hold' ? reconcile(deployment, now, await left(deployment, now, signal)) : first
    if (step.do === 'hold') {
      await redate(deployment, lease, now, signal)
      return undefined
    }
    const next =
      step.do === 'start' ? await nextWave(deployment, step.percent, step.because, now) : ended(deployment, step.do, step.because)
    if (next === undefined) return undefined
    const audit = { at: now.toISOString(), by: holder, action: step.do, subject: deployment.id, because: step.because }
    if (!(await changed(deployment, next, lease, audit, signal))) return undefined
    const { wave } = next
    events.emit({ type: 'rollout', at: now, deployment: deployment.id, step: step.do, wave, because: step.because })
    return { do: step.do, because: step.because }
  }

  /** Places of the open wave that nobody will take any more; none where that need not be known, or was counted a moment ago. */
  async function left(deployment: Deployment, now: Date, signal: AbortSignal | undefined): Promise<number> {
    const { id, state, wave, size, bound, counters } = deployment
    if (state !== 'running' || wave === 0 || (placesTaken(counters) >= size && counters.withdrawn === 0)) {
      counted.delete(id)
      return 0
    }
    const at = now.getTime()
    const last = counted.get(id)
    // A clock that was set back makes it count once more.
    if (last !== undefined && at >= last.at && at < last.next) return 0
    const begin = performance.now()
    const o = signal === undefined ? {} : { signal }
    const awaited = await fleet.awaited(id, { start: startOf(id), bound }, o)
    counted.set(id, { at, next: at + Math.max(countMs, countShare * (performance.now() - begin)) })
    // Claims go on meanwhile and do not change the version: whoever came between the two looks is not among those who may still come, and has not left.
    const after = (await fleet.deployment(id, o))?.counters
    const isSame = after !== undefined && placesTaken(after) === placesTaken(counters) && after.withdrawn === counters.withdrawn
    return isSame ? leftPlaces(deployment, awaited) : 0
  }

  async function redate(deployment: Deployment, lease: Lease, now: Date, signal: AbortSignal | undefined): Promise<void> {
    const next = redatedWave(deployment, now)
    if (next === undefined) return
    const because = [{ code: 'CLOCK_SET_BACK', message: `the wave began at ${deployment.waveAt}, and it is ${now.toISOString()} now` }]
    const audit = { at: now.toISOString(), by: holder, action: 'wait', subject: deployment.id, because }
    await changed(deployment, next, lease, audit, signal)
  }

  /** False where somebody paused or aborted it meanwhile: the next tick looks again. */
  async function changed(
    { id, version }: Deployment,
    next: DeploymentProgress,
    fence: Lease,
    audit: AuditEntry,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    try {
      await fleet.changeDeployment(id, next, { ifVersion: version, fence, audit, ...(signal && { signal }) })
      return true
    } catch (error) {
      if (isOtaError(error) && error.code === 'FLEET_CONFLICT') return false
      throw error
    }
  }

  async function nextWave(deployment: Deployment, percent: number, because: readonly Reason[], now: Date) {
    const start = startOf(deployment.id)
    const cohort = await fleet.cohort(deployment.selector, start, percent)
    // Nobody is selected yet: the wave begins with the first device.
    if (cohort.size === 0) return undefined
    const bound = Math.max(deployment.bound, cohort.bound)
    const { outside } = await fleet.awaited(deployment.id, { start, bound })
    return startedWave(deployment, { size: cohort.size + outside, bound }, because, now)
  }

  return {
    tick,
    async run(signal) {
      while (!signal.aborted) {
        try {
          await tick(signal)
        } catch (error) {
          if (!isOtaError(error)) throw error
        }
        await pause(everyMs, undefined, { signal, ref: false }).catch(() => undefined)
      }
      // Whoever comes next need not wait for the end of the lease.
      const now = clock()
      await fleet.lease(leaseName, holder, { now, until: now }).catch(() => undefined)
    },
  }
}

function ended(deployment: Deployment, how: 'pause' | 'stop', because: readonly Reason[]): DeploymentProgress {
  return { ...progressOf(deployment), state: how === 'pause' ? 'paused' : 'finished', because }
}
