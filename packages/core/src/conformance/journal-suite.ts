import type { Journal } from '../plugin/journal.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { defineSuite, type Runner } from './define-suite.ts'
import { journalAbortRules, journalCloseRules } from './journal/abort-and-close.ts'
import { journalEntryRules } from './journal/entries.ts'
import { journalExpiryRules } from './journal/expiry.ts'
import { journalHostileRules } from './journal/hostile-input.ts'
import { journalListRules } from './journal/listing.ts'
import { journalWriterRules } from './journal/writers.ts'
import { pluginRules } from './plugin-rules.ts'
import type { Instance, Rule, Suite, SuiteOptions } from './suite.ts'

/** What the suite wants of a journal that it asks for. */
export interface JournalSettings {
  /** The time that expiry is judged by. The suite moves it; a journal that has a clock of its own cannot be tested for expiry. */
  readonly now: () => Date
}

export interface JournalInstance extends Instance<Journal> {
  /** Closes the journal and opens what it stored anew, as after a restart. Only where it outlives its process. */
  again?(): Promise<Journal>
  /** One more plugin over the same storage, as another process has it. Only where several may share it. */
  second?(): Promise<Journal>
}

export type JournalSuiteOptions = SuiteOptions<JournalInstance, JournalSettings>
export type JournalRule = Rule<JournalInstance, JournalSettings>

/** Every demand on a `Journal`. */
export const journalRules: Suite<JournalInstance, JournalSettings> = Object.freeze({
  kind: 'journal',
  rules: Object.freeze([
    ...pluginRules<JournalInstance, JournalSettings>('journal', { required: ['get', 'put', 'delete', 'list'] }),
    ...journalEntryRules,
    ...journalListRules,
    ...journalExpiryRules,
    ...journalHostileRules,
    ...journalWriterRules,
    ...journalAbortRules,
    ...journalCloseRules,
  ]),
  settings: () => ({ now: manualClock().now }),
  exchange: (instance: JournalInstance, exchange: <P extends object>(plugin: P) => P): JournalInstance => {
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
 * Defines a test for every rule that a journal must keep.
 * @example
 * ```ts
 * import { journalSuite } from '@reflash/core/conformance'
 * import { memoryJournal } from '@reflash/core/testing'
 * import { describe, it } from 'node:test'
 *
 * journalSuite({ describe, it }, {
 *   make: async ({ now }) => ({ plugin: memoryJournal({ now }), dispose: async () => {} }),
 * })
 * ```
 */
export function journalSuite(runner: Runner, options: JournalSuiteOptions): void {
  defineSuite(journalRules, runner, options)
}
