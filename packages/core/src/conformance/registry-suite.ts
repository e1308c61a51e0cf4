import type { Descriptor } from '../content/descriptor.ts'
import type { Registry } from '../plugin/registry.ts'
import { defineSuite, type Runner } from './define-suite.ts'
import { pluginRules } from './plugin-rules.ts'
import { registryAbortRules } from './registry/abort-and-close.ts'
import { registryFetchRules } from './registry/fetching.ts'
import { registryListRules } from './registry/listing.ts'
import { registryPushRules } from './registry/pushing.ts'
import { registryResolveRules } from './registry/resolving.ts'
import type { Instance, Rule, Suite, SuiteOptions } from './suite.ts'

/** Content to put into a repository, parts before what needs them. */
export interface RegistryContent {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
}

export interface RegistryInstance extends Instance<Registry> {
  /** Two repositories that hold nothing, as they stand in references. */
  readonly repositories: readonly [string, string]
  /** Stores content and points tags at manifests; needed where the plugin cannot push and tag by itself. */
  fill?(repository: string, contents: readonly RegistryContent[], tags: Readonly<Record<string, Descriptor>>): Promise<void>
}

export type RegistrySuiteOptions = SuiteOptions<RegistryInstance>
export type RegistryRule = Rule<RegistryInstance>

/** Every demand on a `Registry`. */
export const registryRules: Suite<RegistryInstance> = Object.freeze({
  kind: 'registry',
  rules: Object.freeze([
    ...pluginRules<RegistryInstance, unknown>('registry', {
      required: ['resolve', 'fetch'],
      optional: ['tags', 'referrers', 'push', 'tag'],
    }),
    ...registryResolveRules,
    ...registryFetchRules,
    ...registryListRules,
    ...registryPushRules,
    ...registryAbortRules,
  ]),
  settings: () => undefined,
  exchange: (instance: RegistryInstance, exchange: <P extends object>(plugin: P) => P): RegistryInstance => ({
    ...instance,
    plugin: exchange(instance.plugin),
  }),
})

/**
 * Defines a test for every rule that a registry must keep.
 * @example
 * ```ts
 * import { registrySuite } from '@reflash/core/conformance'
 * import { memoryRegistry } from '@reflash/core/testing'
 * import { describe, it } from 'node:test'
 *
 * registrySuite({ describe, it }, {
 *   make: async () => ({ plugin: memoryRegistry(), repositories: ['registry.test/a', 'registry.test/b'], dispose: async () => {} }),
 * })
 * ```
 */
export function registrySuite(runner: Runner, options: RegistrySuiteOptions): void {
  defineSuite(registryRules, runner, options)
}
