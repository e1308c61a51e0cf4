import { turnsOf } from './run-suite.ts'
import type { Instance, Suite, SuiteOptions } from './suite.ts'

/** Whatever runs tests: vitest, node:test, mocha and their like fit as they are. */
export interface Runner {
  describe(name: string, define: () => void): unknown
  it(name: string, run: (this: unknown, ...args: unknown[]) => Promise<void>): unknown
}

/**
 * Defines one test per rule, on the plugin and again on the wrapped plugin. A rule that needs a power which the plugin does not have is skipped
 * where the runner lets a running test say so (vitest and node:test do); the reason is printed in any case, once.
 */
export function defineSuite<I extends Instance, S>(suite: Suite<I, S>, { describe, it }: Runner, options: SuiteOptions<I, S>): void {
  const printed = new Set<string>()
  const skip = (context: unknown, rule: string, reason: string): void => {
    if (!printed.has(reason)) console.info(`${rule} and what needs the same is skipped: ${reason}`)
    printed.add(reason)
    const can = context as { skip?: (reason: string) => unknown } | null | undefined
    if (typeof can?.skip === 'function') can.skip(reason)
  }
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
