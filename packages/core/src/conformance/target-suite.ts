import type { DeviceState } from '../plugin/device.ts'
import type { AgentPort, FlashPort } from '../plugin/ports.ts'
import type { Target } from '../plugin/target.ts'
import { defineSuite, type Runner } from './define-suite.ts'
import { closeRules, pluginRules } from './plugin-rules.ts'
import type { Instance, Rule, Suite, SuiteOptions } from './suite.ts'
import { agentRules } from './target/agent-driver.ts'
import { brokenLineRules } from './target/broken-line.ts'
import { drivingRules } from './target/driving.ts'
import { flashRules } from './target/flash-driver.ts'
import { inspectRules } from './target/inspecting.ts'
import { planRules, targetCloseRules } from './target/planning.ts'
import { wrongImageRules } from './target/wrong-images.ts'

/** Which image runs: one of the two that the suite works with, another one, or none. */
export type Boots = 'old' | 'good' | 'other' | 'none'

/** A device that runs the old image and has kept it; the port by which the driver reaches it, and how it looks from outside. */
export interface Bench<Port> {
  readonly port: Port
  /** Takes the power away and gives it back, and says what runs then. Shares no code with the driver: it decides whether that is right. */
  boot(): Promise<Boots>
  /** What runs now, without a restart. */
  runs(): Promise<Boots>
  /** What runs passes its self-test and keeps itself; where the device can go back to what ran before. */
  keep?(): Promise<void>
  dispose?(): Promise<void>
}

export interface TargetInstance extends Instance<Target> {
  /** What a device says of itself for which the good image is meant; its model included. */
  readonly device: DeviceState
  /** A device of a kind that this target does not serve. */
  readonly foreign: DeviceState
  readonly images: {
    /** What a device runs before the update. */
    readonly old: Uint8Array
    /** The update. Where the driver can go on with a broken delivery, long enough that there is something to go on with. */
    readonly good: Uint8Array
    /** What must not pass `inspect`, at least one: not an image, and damaged where the format shows it. */
    readonly bad: readonly { readonly name: string; readonly bytes: Uint8Array }[]
  }
  /** Devices and images (the good one where absent) that must not come together, with the least number of reasons that are to be told. */
  readonly refuses: readonly {
    readonly name: string
    readonly device?: DeviceState
    readonly image?: Uint8Array
    readonly reasons?: number
  }[]
  /** A new device behind a `flash` port; needed where the target drives one. */
  flash?(): Promise<Bench<FlashPort>>
  /** A new device behind an `agent` port; needed where the target drives one. */
  agent?(): Promise<Bench<AgentPort>>
}

export type TargetSuiteOptions = SuiteOptions<TargetInstance>
export type TargetRule = Rule<TargetInstance>

/** Every demand on a `Target` and its drivers. */
export const targetRules: Suite<TargetInstance> = Object.freeze({
  kind: 'target',
  rules: Object.freeze([
    ...pluginRules<TargetInstance, unknown>('target', {
      required: ['matches', 'platforms', 'parsePlan', 'inspect', 'plan'],
      optional: ['measure'],
    }),
    ...inspectRules,
    ...planRules,
    ...closeRules<TargetInstance, unknown>('target'),
    ...targetCloseRules,
    ...(['flash', 'agent'] as const).flatMap((kind) => [
      ...drivingRules(kind),
      ...(kind === 'flash' ? flashRules : agentRules),
      ...wrongImageRules(kind),
      ...brokenLineRules(kind),
    ]),
  ]),
  settings: () => undefined,
  exchange: (instance: TargetInstance, exchange: <P extends object>(plugin: P) => P): TargetInstance => ({
    ...instance,
    plugin: exchange(instance.plugin),
  }),
})

/**
 * Defines a test for every rule that a target and its drivers must keep.
 * @example
 * ```ts
 * import { targetSuite } from '@reflash/core/conformance'
 * import { memoryTarget } from '@reflash/core/testing'
 * import { describe, it } from 'node:test'
 *
 * const text = (content: string) => new TextEncoder().encode(content)
 *
 * // A board whose devices pull by themselves: no driver, no bench.
 * const { drive: _, ...pulling } = memoryTarget('board')
 * targetSuite({ describe, it }, {
 *   make: async () => ({
 *     plugin: Object.freeze(pulling),
 *     device: { id: 'board-1', model: 'board' },
 *     foreign: { id: 'other-1', model: 'other' },
 *     images: { old: text('board board\n1.0.0'), good: text('board board\n1.1.0'), bad: [{ name: 'no board', bytes: text('bread') }] },
 *     refuses: [{ name: 'an image for another board', image: text('board bored\n1.1.0') }],
 *     dispose: async () => {},
 *   }),
 * })
 * ```
 */
export function targetSuite(runner: Runner, options: TargetSuiteOptions): void {
  defineSuite(targetRules, runner, options)
}
