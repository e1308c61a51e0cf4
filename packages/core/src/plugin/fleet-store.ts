import type { Digest } from '../content/digest.ts'
import type { Reason } from '../errors.ts'
import type { CallOptions, Plugin } from './plugin.ts'

/** Which devices: each named label must have one of the values; `model` is the device's model. Without any label: all devices. */
export type Selector = Readonly<Record<string, readonly string[]>>

/** One device as the fleet knows it. */
export interface FleetDevice {
  readonly id: string
  readonly model?: string
  /** The version that it was last seen to run; what it says, not what it proves. */
  readonly installed?: string
  /** Given to it by people, never by itself. */
  readonly labels: Readonly<Record<string, string>>
  /** Its stable place among all devices, from 0 to 2^32 - 1. */
  readonly bucket: number
  /** For the compare-and-set. */
  readonly version: string
}

/** What is rolled out. */
export interface FleetRelease {
  readonly id: string
  /** As the composition names it; may hold `{device}` and `{model}`. */
  readonly repository: string
  readonly version: string
  /** Digest of manifest or index, where the repository is one for all: a tag that is moved later brings nothing else to the fleet. */
  readonly digest?: Digest
}

export type DeploymentState = 'running' | 'paused' | 'aborted' | 'finished'

/** What a deployment was made with; none of it ever changes. Times are ISO 8601. */
export interface DeploymentIntent {
  readonly id: string
  readonly at: string
  readonly release: FleetRelease
  readonly selector: Selector
  /** Ascending percents of the devices, up to 100: the waves. */
  readonly waves: readonly number[]
  /** Percent of the open wave that must be confirmed before the next begins. */
  readonly successPercent: number
  /** Percent of the open wave that, failed, pauses the deployment. */
  readonly failurePercent: number
  /** Milliseconds that a wave stays open at least. */
  readonly waveMs: number
  /** Only what a device proves by evidence counts as confirmed. */
  readonly proof: boolean
}

/** What of a deployment changes, as one compare-and-set. */
export interface DeploymentProgress {
  readonly state: DeploymentState
  /** Number of the open wave, from 1; 0 before the first. */
  readonly wave: number
  /** Devices that may be taken up to this wave, counted when it began; never exceeded. */
  readonly size: number
  /** The last position (see `positionOf`) of the open wave; -1 before the first. */
  readonly bound: number
  /** When the open wave began. */
  readonly waveAt?: string
  /** Failures that were known when it was resumed: they do not pause it a second time. */
  readonly forgiven: number
  /** Why it is as it is. */
  readonly because: readonly Reason[]
}

/** Devices of a deployment by what became of their update. `offered` is on its way; `skipped` ran the version already; `withdrawn` was taken back untried. */
export interface Counters {
  readonly offered: number
  readonly confirmed: number
  readonly failed: number
  readonly unobserved: number
  readonly skipped: number
  readonly withdrawn: number
}

export type UpdateState = keyof Counters

export interface Deployment extends DeploymentIntent, DeploymentProgress {
  /** Ascending in the order of creation: of two that select a device, the younger governs. */
  readonly number: number
  readonly counters: Counters
  /** For the compare-and-set of its progress; counters change without it. */
  readonly version: string
}

/** One device's journey in one deployment. */
export interface FleetUpdate {
  readonly deployment: string
  readonly device: string
  readonly wave: number
  readonly state: UpdateState
  /** From 1; one more each time that an offer which was taken back is made again. */
  readonly attempt: number
  /** It was confirmed by evidence. */
  readonly attested: boolean
  readonly at: string
  readonly because: readonly Reason[]
}

/** One line of the record of who did what. */
export interface AuditEntry {
  readonly at: string
  /** Who: an operator's name, or the ticker. */
  readonly by: string
  readonly action: string
  /** Id of the deployment or device. */
  readonly subject: string
  readonly because: readonly Reason[]
}

/** The right to drive deployments, for a while. `token` grows with each holder: a write under an older one is refused. */
export interface Lease {
  readonly name: string
  readonly holder: string
  readonly token: number
}

/** The devices that a wave covers, counted now. */
export interface Cohort {
  /** Devices that the selector matches. */
  readonly members: number
  /** The percent of them, rounded up. */
  readonly size: number
  /** The position of the last of these; -1 where there are none. */
  readonly bound: number
}

/** The positions that a wave covers: from 0 to `bound`, counted from the bucket `start` (see `positionOf`). */
export interface Reach {
  readonly start: number
  /** -1: none. */
  readonly bound: number
}

/** How the devices that a deployment selects now, within a reach, and its updates belong together. */
export interface Awaited {
  /** Devices that have no place yet. */
  readonly fresh: number
  /** Devices whose offer was taken back, and may be made again. */
  readonly withdrawn: number
  /** Updates whose devices are not among these: they were given other labels since. */
  readonly outside: number
}

/** What came of asking for a place in a deployment. */
export type Claimed =
  | { readonly is: 'taken' | 'standing'; readonly update: FleetUpdate }
  | { readonly is: 'ended'; readonly update: FleetUpdate }
  | { readonly is: 'full' }
  | { readonly is: 'not-running' }
  /** As many have failed as pause it. */
  | { readonly is: 'failing' }

export interface Claim {
  readonly deployment: string
  readonly device: string
  /** The version of the device that was decided by. */
  readonly deviceVersion: string
  readonly as: 'offered' | 'skipped'
  readonly at: string
}

export interface Settlement {
  readonly deployment: string
  readonly device: string
  readonly attempt: number
  readonly state: Exclude<UpdateState, 'offered' | 'skipped'>
  readonly attested: boolean
  readonly at: string
  readonly because: readonly Reason[]
}

/** A page; at most `limit` rows (1 to 1000) after the one that `after` names. */
export interface Page {
  readonly after?: string
  readonly limit: number
}

/**
 * What is known of the fleet: devices, releases, deployments, updates, audit. It is the one wide contract, because a fleet is queried. Every
 * state change is a compare-and-set, durable before it resolves; no clock of its own, all times come in.
 */
export interface FleetStore extends Plugin<'fleet-store'> {
  /** A text that changes whenever labels or the progress of a deployment change: what was read before is as good as new while it stays. */
  revision(options?: CallOptions): Promise<string>

  device(id: string, options?: CallOptions): Promise<FleetDevice | undefined>
  /**
   * Stores a device whose version is `ifVersion` (null: it is new) and returns its new version. With `audit`, its labels are changed too;
   * without, they stay what they are.
   * @throws `FLEET_CONFLICT` (unavailable), `FLEET_FULL` (unavailable) for a new one
   */
  putDevice(
    device: Omit<FleetDevice, 'version'>,
    options: CallOptions & { readonly ifVersion: string | null; readonly audit?: AuditEntry },
  ): Promise<string>
  /** Devices that match, by id in code unit order. */
  devices(query: Page & { readonly selector?: Selector }, options?: CallOptions): Promise<readonly FleetDevice[]>
  /** Counts matching devices, and how far a percent of them reaches from position 0 of `start`. */
  cohort(selector: Selector, start: number, percent: number, options?: CallOptions): Promise<Cohort>

  /** Counts who may still come to a deployment within a reach, and who has a place and is not selected any more. @throws `UNKNOWN_DEPLOYMENT` */
  awaited(deployment: string, reach: Reach, options?: CallOptions): Promise<Awaited>

  /** Stores a new deployment, and its release where that is new. @throws `FLEET_CONFLICT` where its id is taken, `FLEET_FULL` */
  createDeployment(intent: DeploymentIntent, options: CallOptions & { readonly audit: AuditEntry }): Promise<Deployment>
  deployment(id: string, options?: CallOptions): Promise<Deployment | undefined>
  /** The youngest first; `open` leaves out what has ended. */
  deployments(query: { readonly open?: boolean; readonly limit: number }, options?: CallOptions): Promise<readonly Deployment[]>
  /**
   * Moves a deployment whose version is `ifVersion`, and records why.
   * @throws `FLEET_CONFLICT` (unavailable); `LEASE_LOST` (unavailable) where `fence` is not the newest lease of its name
   */
  changeDeployment(
    id: string,
    progress: DeploymentProgress,
    options: CallOptions & { readonly ifVersion: string; readonly fence?: Lease; readonly audit: AuditEntry },
  ): Promise<string>
  releases(query: Page, options?: CallOptions): Promise<readonly FleetRelease[]>

  /**
   * Takes a place for a device, in one transaction with the counters: never more places than the wave's size, never two for one device, and none
   * from the failure on that reaches the threshold. `judgeClaim` says what is answered.
   * `standing` where it has one; `ended` where its update has ended. `skipped` turns an offer that was never made into none.
   * @throws `FLEET_CONFLICT` where the device's version is another or it is unknown; `UNKNOWN_DEPLOYMENT`
   */
  claim(claim: Claim, options?: CallOptions): Promise<Claimed>
  /** Ends an offered update of that attempt and counts it; false where it is not offered, or not of that attempt. */
  settle(settlement: Settlement, options?: CallOptions): Promise<boolean>
  update(deployment: string, device: string, options?: CallOptions): Promise<FleetUpdate | undefined>
  /** By device in code unit order. */
  updates(
    query: Page & { readonly deployment: string; readonly state?: UpdateState },
    options?: CallOptions,
  ): Promise<readonly FleetUpdate[]>
  /** The counters, counted anew from the updates. */
  recount(deployment: string, options?: CallOptions): Promise<Counters>

  /**
   * Takes, keeps or is refused a lease (undefined) that ends at `until`. A new holder gets a greater token. One that ends more than an hour from
   * now (see `leaseHolds`) was given before a clock was set back, and keeps nobody off.
   */
  lease(
    name: string,
    holder: string,
    times: { readonly now: Date; readonly until: Date },
    options?: CallOptions,
  ): Promise<Lease | undefined>
  /** The newest first. */
  audit(query: { readonly subject?: string; readonly limit: number }, options?: CallOptions): Promise<readonly AuditEntry[]>
}
