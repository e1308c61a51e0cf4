import { deepStrictEqual } from 'node:assert/strict'
import type { Json } from '../../content/json.ts'
import { journalKeyLimitBytes, journalValueLimitBytes } from '../../plugin/journal-entry.ts'
import { listed } from '../content.ts'
import type { JournalRule } from '../journal-suite.ts'
import { refused } from '../refusal.ts'
import { holds, missing, rule } from './journal-rule.ts'

const cycle: Record<string, unknown> = {}
cycle.self = cycle

const noKeys: readonly unknown[] = [
  '',
  'x'.repeat(journalKeyLimitBytes + 1),
  'a\n',
  'a\u0000',
  '\u007f',
  'é',
  '\ud83d\ude00',
  undefined,
  null,
  7,
  {},
]
const noPrefixes = noKeys.filter((key) => key !== '')
const noValues: readonly unknown[] = [undefined, () => 1, Symbol('s'), 1n, cycle]

const wildKeys = [
  '__proto__',
  'constructor',
  "'; DROP TABLE entries; --",
  '%',
  '_',
  '..',
  '../../etc/passwd',
  ' ',
  '~',
  'x'.repeat(journalKeyLimitBytes),
]

const invalidKey = { fault: 'invalid', code: 'INVALID_KEY' } as const
const invalidValue = { fault: 'invalid', code: 'INVALID_VALUE' } as const

/** Keys, values and expiries that no journal may take, and such as it must. */
export const journalHostileRules: readonly JournalRule[] = [
  rule('keys-wild', 'takes every key of 1 to 512 characters of printable ASCII as it is', async ({ plugin }) => {
    for (const [index, key] of wildKeys.entries()) await plugin.put(key, index, { ifVersion: null })
    for (const [index, key] of wildKeys.entries()) await holds(plugin, key, index)
    deepStrictEqual(await listed(plugin.list('')), wildKeys.toSorted())
    deepStrictEqual(await listed(plugin.list('x'.repeat(journalKeyLimitBytes))), ['x'.repeat(journalKeyLimitBytes)])
  }),
  rule('keys-invalid', 'refuses every other key, in each of its methods', async ({ plugin }) => {
    for (const key of noKeys as readonly string[]) {
      const shown = JSON.stringify(key)?.slice(0, 40)
      await refused(`get(${shown})`, invalidKey, () => plugin.get(key))
      await refused(`put(${shown})`, invalidKey, () => plugin.put(key, 1, { ifVersion: null }))
      await refused(`delete(${shown})`, invalidKey, () => plugin.delete(key, { ifVersion: '1' }))
    }
    for (const prefix of noPrefixes as readonly string[]) {
      await refused(`list(${JSON.stringify(prefix)?.slice(0, 40)})`, invalidKey, () => listed(plugin.list(prefix)))
    }
    deepStrictEqual(await listed(plugin.list('')), [])
  }),
  rule('values-invalid', 'refuses what is no JSON, and keeps what is there', async ({ plugin }) => {
    const version = await plugin.put('k', 1, { ifVersion: null })
    for (const value of noValues as readonly Json[]) {
      await refused(`put of ${typeof value}`, invalidValue, () => plugin.put('k', value, { ifVersion: version }))
      await refused(`put of ${typeof value}`, invalidValue, () => plugin.put('new', value, { ifVersion: null }))
    }
    await holds(plugin, 'k', 1)
    await missing(plugin, 'new')
  }),
  rule('values-large', 'takes a value of 1 MiB of JSON in UTF-8, and refuses one byte more', async ({ plugin }) => {
    // A text of JSON has two quotes; these letters have three bytes each.
    const letters = '\u20ac'.repeat(Math.floor((journalValueLimitBytes - 2) / 3))
    const largest = letters.padEnd(letters.length + ((journalValueLimitBytes - 2) % 3), 'x')
    const version = await plugin.put('k', largest, { ifVersion: null })
    await refused('put of 1 MiB and a byte', { fault: 'invalid', code: 'TOO_LARGE' }, () =>
      plugin.put('k', `${largest}x`, { ifVersion: version }),
    )
    await holds(plugin, 'k', largest)
  }),
  rule('expiry-invalid', 'refuses an expiry that is no time', async ({ plugin }) => {
    await refused('put', invalidValue, () => plugin.put('k', 1, { ifVersion: null, expires: new Date(Number.NaN) }))
    await missing(plugin, 'k')
  }),
]
