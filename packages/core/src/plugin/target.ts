import type { Descriptor, Platform } from '../content/descriptor.ts'
import type { Json } from '../content/json.ts'
import type { Observation } from '../update/observation.ts'
import type { HeldImage } from './cache.ts'
import type { Device, DeviceState } from './device.ts'
import type { Measurement } from './evidence-verifier.ts'
import type { Plugin, RunContext } from './plugin.ts'
import type { Ports } from './ports.ts'

/** What an image says of itself. `facts` is the target's own, and goes into its plan. */
export interface ImageInfo {
  /** Bytes. */
  readonly size: number
  readonly model?: string
  /** Advisory: the release's version is the signed one. */
  readonly version?: string
  /** Anti-rollback counter, where the format has one. */
  readonly securityVersion?: number
  readonly facts: Json
}

/** A kind of hardware. `Plan` is a `type`, not an `interface`: only types are assignable to Json. */
export interface Target<Plan extends Json = Json> extends Plugin<'target'> {
  readonly supports: { readonly slots: 1 | 2; readonly rollback: boolean; readonly resume: boolean }
  /** Whether this device can be of this kind; true for an unknown model that may be. */
  matches(device: Device): boolean
  /** Platforms that run on this device, best first; empty where the model is unknown. */
  platforms(device: DeviceState): readonly Platform[]
  /** A stored plan back, validated; never planned anew on a half-written device. */
  parsePlan(facts: Json): Plan
  /** Reads and checks an image. @throws OtaError whose `because` names every problem. */
  inspect(image: HeldImage, context: RunContext): Promise<ImageInfo>
  /** Pure. @throws OtaError whose `because` names every reason. */
  plan(device: DeviceState, image: ImageInfo, descriptor: Descriptor): Plan
  /** What a device running the image will prove. */
  measure?(image: HeldImage, context: RunContext): Promise<readonly Measurement[]>
  /** A driver per port it can use. Absent: the device pulls and installs by itself. */
  readonly drive?: { readonly [K in keyof Ports]?: Driver<Ports[K], Plan> }
}

/** Acts on a device through a port, and reports what it saw. Judging is the rooms' work. */
export interface Driver<Port, Plan> {
  /** Chip, layout, what runs: what `plan` needs. */
  probe(port: Port, context: RunContext): Promise<DeviceState>
  deliver(plan: Plan, image: HeldImage, port: Port, context: RunContext): Promise<Observation>
  install(plan: Plan, port: Port, context: RunContext): Promise<Observation>
  confirm(plan: Plan, port: Port, context: RunContext): Promise<Observation>
  rollback?(plan: Plan, port: Port, context: RunContext): Promise<void>
}
