import type { FleetStore } from '../plugin/fleet-store.ts'
import { defineSuite, type Runner } from './define-suite.ts'
import { fleetClaimRules } from './fleet-store/claims.ts'
import { fleetDeploymentRules } from './fleet-store/deployments.ts'
import { fleetDeviceRules } from './fleet-store/devices.ts'
import { fleetEndRules } from './fleet-store/end.ts'
import { fleetLeaseRules } from './fleet-store/lease.ts'
import { fleetWriterRules } from './fleet-store/writers.ts'
import { pluginRules } from './plugin-rules.ts'
import type { Instance, Rule, Suite, SuiteOptions } from './suite.ts'

export interface FleetStoreInstance extends Instance<FleetStore> {
  /** Closes the store and opens what it stored anew, as after a restart. Only where it outlives its process. */
  again?(): Promise<FleetStore>
  /** One more plugin over the same storage, as another replica has it. Only where several may share it. */
  second?(): Promise<FleetStore>
}

export type FleetStoreSuiteOptions = SuiteOptions<FleetStoreInstance>
export type FleetStoreRule = Rule<FleetStoreInstance>

/** Every demand on a `FleetStore`. */
export const fleetStoreRules: Suite<FleetStoreInstance> = Object.freeze({
  kind: 'fleet-store',
  rules: Object.freeze([
    ...pluginRules<FleetStoreInstance, unknown>('fleet-store', {
      required: [
        'revision',
        'device',
        'putDevice',
        'devices',
        'cohort',
        'awaited',
        'createDeployment',
        'deployment',
        'deployments',
        'changeDeployment',
        'releases',
        'claim',
        'settle',
        'update',
        'updates',
        'recount',
        'lease',
        'audit',
      ],
    }),
    ...fleetDeviceRules,
    ...fleetDeploymentRules,
    ...fleetClaimRules,
    ...fleetLeaseRules,
    ...fleetWriterRules,
    ...fleetEndRules,
  ]),
  settings: () => undefined,
  exchange: (instance: FleetStoreInstance, exchange: <P extends object>(plugin: P) => P): FleetStoreInstance => {
    const { again, second } = instance
    return {
      ...instance,
      plugin: exchange(instance.plugin),
      ...(again === undefined ? {} : { again: async () => exchange(await again()) }),
      ...(second === undefined ? {} : { second: async () => exchange(await second()) }),
    }
  },
})

/**
 * Defines a test for every rule that a fleet store must keep.
 * @example
 * ```ts
 * import { fleetStoreSuite } from '@reflash/core/conformance'
 * import { memoryFleet } from '@reflash/core/testing'
 * import { describe, it } from 'node:test'
 *
 * fleetStoreSuite({ describe, it }, {
 *   make: async () => ({ plugin: memoryFleet(), dispose: async () => {} }),
 * })
 * ```
 */
export function fleetStoreSuite(runner: Runner, options: FleetStoreSuiteOptions): void {
  defineSuite(fleetStoreRules, runner, options)
}
