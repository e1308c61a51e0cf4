import type { Digest } from '../content/digest.ts'
import type { Cache } from '../plugin/cache.ts'
import { cacheCallerRules } from './cache/callers.ts'
import { cacheDamageRules } from './cache/damage.ts'
import { cacheHoldRules } from './cache/holding.ts'
import { cacheRoomRules } from './cache/room-and-close.ts'
import { defineSuite, type Runner } from './define-suite.ts'
import { pluginRules } from './plugin-rules.ts'
import type { Instance, Rule, Suite, SuiteOptions } from './suite.ts'

/** What the suite wants of a cache that it asks for. */
export interface CacheSettings {
  /** Bytes of all held content together. */
  readonly limitBytes: number
}

export interface CacheInstance extends Instance<Cache> {
  /** Closes the cache and opens what it holds anew, as after a restart. Only where it outlives its process. */
  again?(): Promise<Cache>
  /** Damages content at rest behind the cache's back, as a failing disk does. Only where it lies somewhere that others can write to. */
  spoil?(digest: Digest): Promise<void>
}

export type CacheSuiteOptions = SuiteOptions<CacheInstance, CacheSettings>
export type CacheRule = Rule<CacheInstance, CacheSettings>

/** Every demand on a `Cache`. */
export const cacheRules: Suite<CacheInstance, CacheSettings> = Object.freeze({
  kind: 'cache',
  rules: Object.freeze([
    ...pluginRules<CacheInstance, CacheSettings>('cache', { required: ['hold'] }),
    ...cacheHoldRules,
    ...cacheDamageRules,
    ...cacheCallerRules,
    ...cacheRoomRules,
  ]),
  settings: () => ({ limitBytes: 8 * 1024 * 1024 }),
  exchange: (instance: CacheInstance, exchange: <P extends object>(plugin: P) => P): CacheInstance => {
    const { again } = instance
    return {
      ...instance,
      plugin: exchange(instance.plugin),
      ...(again === undefined ? {} : { again: async () => exchange(await again()) }),
    }
  },
})

/**
 * Defines a test for every rule that a cache must keep.
 * @example
 * ```ts
 * import { cacheSuite } from '@reflash/core/conformance'
 * import { memoryCache } from '@reflash/core/testing'
 * import { describe, it } from 'node:test'
 *
 * cacheSuite({ describe, it }, {
 *   make: async ({ limitBytes }) => ({ plugin: memoryCache({ limitBytes }), dispose: async () => {} }),
 * })
 * ```
 */
export function cacheSuite(runner: Runner, options: CacheSuiteOptions): void {
  defineSuite(cacheRules, runner, options)
}
