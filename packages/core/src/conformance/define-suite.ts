import { turnsOf } from './run-suite.ts'
import type { Instance, Suite, SuiteOptions } from './suite.ts'

/** Whatever runs tests: vitest, node:test, mocha and their like fit as they are. */
export interface Runner {
  describe(name: string, define: () => void): unknown
  it(name: string, run: (this: unknown, ...args: unknown[]) => Promise<void>): unknown
}

/**
 * Defines one test per rule, on the plugin and again on the wrapped plugin. A rule that needs a power which the plugin does not have is skipped
 * where the runner lets a running test say so (vitest and node:test do), and printed with its reason in any case.
 */
export function defineSuite<I extends Instance, S>(suite: Suite<I, S>, { describe, it }: Runner, options: SuiteOptions<I, S>): void {
  describe(`conformance of a ${suite.kind}`, () => {
    for (const { rule, title, only, play } of turnsOf(suite, options)) {
      it(`${rule}: ${title}${only === undefined ? '' : ` (only with ${only})`}`, async (...args) => {
        const { status, reason = '', error } = await play()
        if (status === 'failed') throw error
        if (status === 'skipped') skip(args[0], rule, reason)
      })
    }
  })
}

function skip(context: unknown, rule: string, reason: string): void {
  // Once is enough: the wrapped plugin lacks the same.
  if (!rule.startsWith('wrapped:')) console.info(`${rule}: skipped: ${reason}`)
  const can = context as { skip?: (reason: string) => unknown } | null | undefined
  if (typeof can?.skip === 'function') can.skip(reason)
}
