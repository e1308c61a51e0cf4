import { setImmediate } from 'node:timers/promises'
import type { Plugin } from '@reflash/core'
import { firstFailure, type Instance, type RuleResult, type Suite, type SuiteOptions } from '@reflash/core/conformance'

/** The right plugin with one thing wrong. */
export interface Mutant {
  /** The rule that must be the first to fail. */
  readonly rule: string
  /** What it does wrong. */
  readonly wrong: string
  /** The first rule that fails; undefined where none does. */
  play(): Promise<RuleResult | undefined>
}

/** Every mutant of one suite. */
export interface MutantTable {
  readonly suite: string
  readonly rules: readonly string[]
  readonly mutants: readonly Mutant[]
  /** Rules that no plugin can break, with the reason. */
  readonly unbroken: Readonly<Record<string, string>>
}

type Owned = Instance<Plugin<string>>
type Change<T, S> = (right: T, settings: S) => T

export interface MutantMaker<I extends Owned, S> {
  /** The plugin with other members. */
  plugin(rule: string, wrong: string, change: (right: I['plugin'], settings: S) => Partial<I['plugin']>, timeoutMs?: number): Mutant
  /** What `make` gives, changed. */
  instance(rule: string, wrong: string, change: Change<I, S>, timeoutMs?: number): Mutant
  /** What the suite is given, changed. */
  options(rule: string, wrong: string, change: (right: SuiteOptions<I, S>) => SuiteOptions<I, S>): Mutant
  /** The mutants of the rules that every suite has. */
  common(method: keyof I['plugin'] & string): readonly Mutant[]
}

/** Makes mutants of a plugin that is right: `right` is what its suite gets. A rule is named without its kind, or by its whole id. */
export function mutantsOf<I extends Owned, S>(suite: Suite<I, S>, right: SuiteOptions<I, S>): MutantMaker<I, S> {
  const mutant = (rule: string, wrong: string, options: SuiteOptions<I, S>, played: Suite<I, S> = suite): Mutant => ({
    rule: rule.includes(':') ? rule : `${suite.kind}/${rule}`,
    wrong,
    play: () => firstFailure(played, options),
  })
  const instance: MutantMaker<I, S>['instance'] = (rule, wrong, change, timeoutMs) =>
    mutant(rule, wrong, {
      ...right,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      make: async (settings) => change(await right.make(settings), settings),
    })
  const plugin: MutantMaker<I, S>['plugin'] = (rule, wrong, change, timeoutMs) =>
    instance(
      rule,
      wrong,
      (made, settings) =>
        suite.exchange(made, (member) => Object.freeze({ ...member, ...change(member as unknown as I['plugin'], settings) })),
      timeoutMs,
    )
  const options: MutantMaker<I, S>['options'] = (rule, wrong, change) => mutant(rule, wrong, change(right))
  return {
    plugin,
    instance,
    options,
    common: (method) => [
      instance('plain-frozen', 'can be changed by anybody', (made) => suite.exchange(made, (member) => ({ ...member }))),
      plugin('identity', 'has a name that nobody can read', () => ({ name: ' ' }) as Partial<I['plugin']>),
      plugin('methods', `has no ${method}()`, () => ({ [method]: undefined }) as Partial<I['plugin']>),
      options('options-untouched', 'writes its defaults into the options that it got', (given) => ({
        ...given,
        factory: ((made: { touched?: boolean }) => {
          made.touched = true
          return given.factory?.(made as never) as Plugin<string>
        }) as NonNullable<typeof given.factory>,
      })),
      plugin('close-unused', 'cannot be closed before it was used', (member) => afterUse(member)),
      plugin('close-twice', 'cannot be closed twice', (member) => {
        let isClosed = false
        const close = async (): Promise<void> => {
          if (isClosed) throw new Error('closed already')
          isClosed = true
          await member.close?.()
        }
        return { close } as Partial<I['plugin']>
      }),
      // A plugin cannot go round its wrapper where members are its own and enumerable, but a suite can forget to exchange it.
      mutant(`wrapped:${suite.kind}/wrapper-called`, 'runs beside its wrapper', right, { ...suite, exchange: (made) => made }),
    ],
  }
}

// A plugin that opens its file at the first call, and expects it open when it closes it.
function afterUse<P extends Plugin<string>>(plugin: P): Partial<P> {
  let isUsed = false
  const used = Object.entries(plugin)
    .filter(([name, member]) => typeof member === 'function' && name !== 'close')
    .map(([name, member]) => [
      name,
      (...args: unknown[]) => {
        isUsed = true
        return (member as (...given: unknown[]) => unknown)(...args)
      },
    ])
  return {
    ...Object.fromEntries(used),
    close: async () => {
      if (!isUsed) throw new TypeError('cannot close undefined')
      await plugin.close?.()
    },
  } as Partial<P>
}

/** Gives each rule one instance however often it makes one. */
export function sharing<I extends Owned, S>(right: SuiteOptions<I, S>): SuiteOptions<I, S> {
  let shared: I | undefined
  return {
    ...right,
    make: async (settings) => {
      shared ??= await right.make(settings)
      const one = shared
      return {
        ...one,
        dispose: async () => {
          if (shared === undefined) return
          shared = undefined
          await one.dispose()
        },
      }
    },
  }
}

/** Milliseconds that a rule may take where the mutant hangs. */
export const briefMs = 1_500

/** Lets everything that is ready run. */
export const turn = (): Promise<void> => setImmediate()

/** Never. */
export const never = (): Promise<never> => new Promise(() => {})
