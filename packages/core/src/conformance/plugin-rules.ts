import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Plugin } from '../plugin/plugin.ts'
import { type Instance, type Rule, rulesOf } from './suite.ts'
import { within } from './within.ts'

/** The methods of a contract. */
export interface Shape {
  readonly required: readonly string[]
  readonly optional?: readonly string[]
}

/** What holds of a plugin of any kind: the first rules of every suite. */
export function pluginRules<I extends Instance<Plugin<string>>, S>(
  kind: string,
  { required, optional = [] }: Shape,
): readonly Rule<I, S>[] {
  const rule = rulesOf<I, S>(kind)
  return [
    rule('plain-frozen', 'is a frozen plain object, whose members are its own and enumerable', async ({ plugin }) => {
      const prototype: unknown = Object.getPrototypeOf(plugin)
      ok(
        prototype === Object.prototype || prototype === null,
        'expected a plain object, found an instance of a class: a spread would lose its methods',
      )
      ok(Object.isFrozen(plugin), 'expected a frozen object, found one that anybody can change: return Object.freeze({ ... })')
      for (const [name, { enumerable }] of Object.entries(Object.getOwnPropertyDescriptors(plugin))) {
        ok(enumerable === true, `${name}: expected an enumerable member, found one that a spread would lose`)
      }
    }),
    rule('identity', `says its kind ("${kind}"), a name, and the version of its contract`, async ({ plugin }) => {
      const { name, spec, opens } = plugin
      strictEqual(plugin.kind, kind, `kind: expected ${kind}, found ${plugin.kind}`)
      ok(
        typeof name === 'string' && /^[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?$/.test(name),
        `name: expected 1 to 128 letters of ASCII, found ${JSON.stringify(name)}`,
      )
      ok(spec === 0 || spec === 1, `spec: expected 0 or 1, found ${String(spec)}`)
      ok(opens === undefined || (typeof opens === 'string' && opens.length > 0), 'opens: expected a sentence or nothing')
    }),
    rule('methods', 'has every method that its contract demands, and no optional one that is not a function', async ({ plugin }) => {
      const members = plugin as unknown as Readonly<Record<string, unknown>>
      for (const name of required)
        strictEqual(typeof members[name], 'function', `${name}: expected a function, found ${typeof members[name]}`)
      for (const name of [...optional, 'close']) {
        const type = typeof members[name]
        ok(type === 'function' || type === 'undefined', `${name}: expected a function or nothing, found ${type}`)
      }
    }),
    rule(
      'options-untouched',
      'leaves the options that its factory got as they were',
      async (_instance, { options: { factory, options } }) => {
        const make = factory as (options: unknown) => Plugin<string>
        const before = copyOf(options)
        const plugin = make(options)
        deepStrictEqual(options, before, 'expected the options as they were given, found them changed')
        deepFreeze(options)
        const again = make(options)
        ok(again !== plugin, 'expected a new plugin from each call of the factory, found the same one')
        await plugin.close?.()
        await again.close?.()
      },
      {
        what: 'factory and options',
        missing: 'no factory and options were given to the suite',
        has: (_instance, { factory, options }) => factory !== undefined && options !== undefined,
      },
    ),
  ]
}

/** Closing, for plugins that have something to close; the last rules of a suite. */
export function closeRules<I extends Instance<Plugin<string>>, S>(kind: string): readonly Rule<I, S>[] {
  const rule = rulesOf<I, S>(kind)
  const needs = { what: 'close()', has: ({ plugin }: I) => plugin.close !== undefined }
  return [
    rule(
      'close-unused',
      'can be closed without ever having been used',
      async ({ plugin }, { stepMs }) => {
        await within(stepMs, 'close()', plugin.close?.())
      },
      needs,
    ),
    rule(
      'close-twice',
      'can be closed twice, also at the same time',
      async ({ plugin }, { stepMs }) => {
        await within(stepMs, 'two close() at once', Promise.all([plugin.close?.(), plugin.close?.()]))
        await within(stepMs, 'a third close()', plugin.close?.())
      },
      needs,
    ),
  ]
}

// Plain data is copied; functions, keys and class instances stay what they are.
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf)
  if (!isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, copyOf(member)]))
}

function deepFreeze(value: unknown): void {
  if (!Array.isArray(value) && !isPlain(value)) return
  for (const member of Object.values(value)) deepFreeze(member)
  Object.freeze(value)
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
