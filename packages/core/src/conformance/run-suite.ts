import { AssertionError } from 'node:assert/strict'
import process from 'node:process'
import type { Instance, Rule, Scene, Suite, SuiteOptions } from './suite.ts'
import { nextTurn, within } from './within.ts'
import { wrapped } from './wrapped.ts'

/** What came of one rule. The second run, on the wrapped plugin, has ids that begin with `wrapped:`. */
export interface RuleResult {
  readonly rule: string
  readonly title: string
  readonly status: 'passed' | 'failed' | 'skipped'
  /** Why it failed or was skipped. */
  readonly reason?: string
  /** What it failed with. */
  readonly error?: unknown
}

/** Milliseconds. Memory needs one or two of them; a disk that is busy needs a second. */
const defaultTimeoutMs = 5_000
/** What a single step may take, as a share of its rule. */
const stepShare = 0.4

const passes = ['', 'wrapped:'] as const
type Pass = (typeof passes)[number]

/** One rule of a run that waits to be asked. */
export interface Turn {
  readonly rule: string
  readonly title: string
  /** Why it is asked only of some plugins. */
  readonly only?: string
  play(): Promise<RuleResult>
}

/** The turns of a whole run in their order: every rule on the plugin, then every rule on the wrapped plugin. */
export function turnsOf<I extends Instance, S>(suite: Suite<I, S>, options: SuiteOptions<I, S>): readonly Turn[] {
  return passes.flatMap((pass) => {
    const calls = new Map<string, number>()
    const rules = pass === '' ? suite.rules : [...suite.rules, callsCounted<I, S>(suite.kind, calls)]
    return rules.map((rule): Turn => {
      const shown = { rule: `${pass}${rule.id}`, title: rule.title }
      return {
        ...shown,
        ...(rule.needs === undefined ? {} : { only: rule.needs.what }),
        play: async () => ({ ...shown, ...(await play(suite, rule, options, pass, calls)) }),
      }
    })
  })
}

/**
 * Runs a suite headless, rule after rule, and says what came of each. It throws nothing.
 * @example
 * ```ts
 * import { journalRules, runSuite } from '@reflash/core/conformance'
 * import { memoryJournal } from '@reflash/core/testing'
 *
 * const results = await runSuite(journalRules, {
 *   make: async ({ now }) => ({ plugin: memoryJournal({ now }), dispose: async () => {} }),
 * })
 * for (const { rule, reason } of results.filter(({ status }) => status === 'failed')) console.log(rule, reason)
 * ```
 */
export async function runSuite<I extends Instance, S>(suite: Suite<I, S>, options: SuiteOptions<I, S>): Promise<readonly RuleResult[]> {
  const results: RuleResult[] = []
  for (const turn of turnsOf(suite, options)) results.push(await turn.play())
  return results
}

/** Runs a suite up to the first rule that fails, and returns its result; undefined where all hold. */
export async function firstFailure<I extends Instance, S>(
  suite: Suite<I, S>,
  options: SuiteOptions<I, S>,
): Promise<RuleResult | undefined> {
  for (const turn of turnsOf(suite, options)) {
    const result = await turn.play()
    if (result.status === 'failed') return result
  }
  return undefined
}

async function play<I extends Instance, S>(
  suite: Suite<I, S>,
  rule: Rule<I, S>,
  options: SuiteOptions<I, S>,
  pass: Pass,
  calls: Map<string, number>,
): Promise<Pick<RuleResult, 'status' | 'reason' | 'error'>> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
  const made: I[] = []
  const make = async (settings?: Partial<S>): Promise<I> => {
    const instance = await options.make({ ...suite.settings(), ...settings })
    made.push(instance)
    return pass === '' ? instance : suite.exchange(instance, (plugin) => wrapped(plugin, calls))
  }
  let skipped: string | undefined
  const skip = (reason: string): void => {
    skipped = reason
  }
  const scene: Scene<I, S> = { make, skip, options, stepMs: timeoutMs * stepShare }
  const ask = async (): Promise<string | undefined> => {
    const instance = await make()
    const { needs } = rule
    if (needs !== undefined && !needs.has(instance, options)) return needs.missing ?? `the plugin has no ${needs.what}`
    await rule.run(instance, scene)
    return skipped
  }
  const failures: unknown[] = []
  const onUnhandled = (reason: unknown): void => {
    const message = `${rule.id}: expected that every promise is awaited, found one that rejected unseen, which ends a process: ${messageOf(reason)}`
    failures.push(new AssertionError({ message }))
  }
  const guarded = async <T>(work: () => Promise<T>, what: string): Promise<T | undefined> => {
    try {
      return await within(timeoutMs, what, work())
    } catch (error) {
      failures.push(error)
      return undefined
    }
  }
  process.on('unhandledRejection', onUnhandled)
  const reason = await guarded(ask, rule.id)
  for (const instance of made.reverse()) await guarded(() => instance.dispose(), `dispose() after ${rule.id}`)
  await nextTurn()
  process.off('unhandledRejection', onUnhandled)
  if (failures.length > 0) return { status: 'failed', reason: messageOf(failures[0]), error: failures[0] }
  return reason === undefined ? { status: 'passed' } : { status: 'skipped', reason }
}

// The last of the second run: a plugin that goes round its wrapper would make the run prove nothing.
function callsCounted<I, S>(kind: string, calls: ReadonlyMap<string, number>): Rule<I, S> {
  return {
    id: `${kind}/wrapper-called`,
    title: 'answers through its wrapper',
    async run() {
      if (calls.size === 0) throw new AssertionError({ message: 'expected calls through the wrapper, found none' })
    },
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
