import type { Plugin } from '../plugin/plugin.ts'

/** One plugin that the author has made for a rule, and how to end it. */
export interface Instance<P = unknown> {
  readonly plugin: P
  /** Ends whatever making it began, and removes what it left; called once, also where the rule failed. */
  dispose(): Promise<void>
}

/** What an author tells a suite. `I` is what `make` makes, `S` what the suite wants made. */
export interface SuiteOptions<I, S = unknown> {
  /** Makes a plugin that shares nothing with any other: a folder, database, repository or key of its own. Called for each rule, some call it more often. */
  make(settings: S): Promise<I>
  /** The factory itself, and options for it: the suite then looks whether it leaves them as they were. */
  readonly factory?: (options: never) => Plugin<string>
  readonly options?: object
  /** How long one rule may take, milliseconds; 5000 where absent. A plugin that waits for a disk or a network may need more. */
  readonly timeoutMs?: number
}

/** What a rule asks of a plugin before it can be asked at all: an optional method, or a fact of `supports`. */
export interface Need<I> {
  /** Such as `tags()`. */
  readonly what: string
  /** What is said where it is missing; "the plugin has no tags()" where absent. */
  readonly missing?: string
  has(instance: I, options: Pick<SuiteOptions<I, never>, 'factory' | 'options'>): boolean
}

/** What a rule works with, beside the instance that was made for it. */
export interface Scene<I, S = unknown> {
  /** One more instance; what is not said of it is as for the first. Disposed with the rule. */
  make(settings?: Partial<S>): Promise<I>
  /** Says that the rule could not be asked, where that is seen only as it runs: an optional method of what the plugin has made is missing. */
  skip(reason: string): void
  readonly options: SuiteOptions<I, S>
  /** Milliseconds that a single step may take. */
  readonly stepMs: number
}

/** One demand of a contract. */
export interface Rule<I, S = unknown> {
  /** Such as `journal/put-conflict`; stable. */
  readonly id: string
  /** A sentence that holds of a right plugin. */
  readonly title: string
  readonly needs?: Need<I>
  /** Fails with an exception. */
  run(instance: I, scene: Scene<I, S>): Promise<void>
}

/** Every demand of one contract, in the order in which they are asked. */
export interface Suite<I extends Instance, S = unknown> {
  readonly kind: string
  readonly rules: readonly Rule<I, S>[]
  /** What `make` is asked for where a rule says nothing else. A clock or a folder in it is new at each call. */
  settings(): S
  /** The instance with each of its plugins replaced. */
  exchange(instance: I, exchange: <P extends object>(plugin: P) => P): I
}

type Run<I, S> = Rule<I, S>['run']

/** Makes the rules of one suite, whose ids all begin with its kind. */
export function rulesOf<I, S = unknown>(kind: string) {
  return (name: string, title: string, run: Run<I, S>, needs?: Need<I>): Rule<I, S> => ({
    id: `${kind}/${name}`,
    title,
    run,
    ...(needs === undefined ? {} : { needs }),
  })
}
