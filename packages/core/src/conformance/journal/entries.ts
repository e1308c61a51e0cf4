import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Json } from '../../content/json.ts'
import { listed } from '../content.ts'
import type { JournalRule } from '../journal-suite.ts'
import { conflicts, holds, missing, rule } from './journal-rule.ts'

/** What JSON can carry and databases like to change. */
const awkward: readonly Json[] = [
  null,
  false,
  true,
  0,
  -0.5,
  1e21,
  Number.MAX_SAFE_INTEGER,
  '',
  ' ',
  '\u0000\u001f',
  'é\u0301 \ud83d\ude00 \u2028',
  '\ud800',
  // Composed it would be one letter.
  { 'e\u0301': 'e\u0301' },
  [],
  [[], [null], {}],
  {},
  { '': 1, a: { b: [1, '2', null] } },
  JSON.parse('{"__proto__":{"polluted":true},"constructor":1}') as Json,
  { big: 'x'.repeat(100_000) },
]

/** Values and versions of single entries. */
export const journalEntryRules: readonly JournalRule[] = [
  rule('empty', 'is empty at first', async ({ plugin }) => {
    await missing(plugin, 'a')
    deepStrictEqual(await listed(plugin.list('')), [])
  }),
  rule('put-get', 'gives back what was put, under the version that put returned', async ({ plugin }) => {
    const version = await plugin.put('devices/a', { seq: 1, state: 'open' }, { ifVersion: null })
    ok(typeof version === 'string' && version.length > 0, `put: expected a version, found ${JSON.stringify(version)}`)
    strictEqual(await holds(plugin, 'devices/a', { seq: 1, state: 'open' }), version)
    await missing(plugin, 'devices/b')
  }),
  rule('json', 'keeps every JSON value as it is', async ({ plugin }) => {
    for (const [index, value] of awkward.entries()) await plugin.put(`k${index}`, value, { ifVersion: null })
    for (const [index, value] of awkward.entries()) await holds(plugin, `k${index}`, value)
  }),
  rule('json-text', 'stores what JSON makes of a value, not the value', async ({ plugin }) => {
    await plugin.put('k', { a: undefined, at: new Date(0) } as unknown as Json, { ifVersion: null })
    await holds(plugin, 'k', { at: '1970-01-01T00:00:00.000Z' })
  }),
  rule('copies', 'shares no object with its caller', async ({ plugin }) => {
    const value = { list: [1] }
    await plugin.put('k', value, { ifVersion: null })
    value.list.push(2)
    const first = (await plugin.get('k'))?.value as { list: number[] }
    deepStrictEqual(first, { list: [1] }, 'expected the value as it was when it was put')
    try {
      first.list.push(3)
    } catch {
      // Frozen: as good as a copy.
    }
    await holds(plugin, 'k', { list: [1] })
  }),
  rule('replace', 'replaces the value of the version that is named', async ({ plugin }) => {
    const first = await plugin.put('k', 1, { ifVersion: null })
    const second = await plugin.put('k', 2, { ifVersion: first })
    notStrictEqual(second, first, 'expected a new version for a new value')
    strictEqual(await holds(plugin, 'k', 2), second)
  }),
  rule('put-conflict', 'refuses to put over a version that is not the one named, and keeps what is there', async ({ plugin }) => {
    const first = await plugin.put('k', 1, { ifVersion: null })
    await conflicts('put, expecting no value, over a value', () => plugin.put('k', 9, { ifVersion: null }))
    await holds(plugin, 'k', 1)
    const second = await plugin.put('k', 2, { ifVersion: first })
    await conflicts('put over an older version', () => plugin.put('k', 9, { ifVersion: first }))
    await conflicts('put over a version that never was', () => plugin.put('k', 9, { ifVersion: `${second}x` }))
    await conflicts('put over a version where there is no value', () => plugin.put('other', 9, { ifVersion: second }))
    strictEqual(await holds(plugin, 'k', 2), second)
    await missing(plugin, 'other')
  }),
  rule('delete', 'deletes the version that is named, and nothing else', async ({ plugin }) => {
    const first = await plugin.put('k', 1, { ifVersion: null })
    await plugin.put('kk', 1, { ifVersion: null })
    const second = await plugin.put('k', 2, { ifVersion: first })
    await conflicts('delete of an older version', () => plugin.delete('k', { ifVersion: first }))
    await holds(plugin, 'k', 2)
    await plugin.delete('k', { ifVersion: second })
    await missing(plugin, 'k')
    deepStrictEqual(await listed(plugin.list('')), ['kk'])
    await conflicts('delete of what is gone', () => plugin.delete('k', { ifVersion: second }))
    await conflicts('put over what is gone', () => plugin.put('k', 9, { ifVersion: second }))
  }),
  rule('versions-once', 'never uses a version twice, not even for the same value or after a deletion', async ({ plugin }) => {
    const seen = new Set<string>()
    for (let round = 0; round < 5; round++) {
      const first = await plugin.put('k', 'same', { ifVersion: null })
      const second = await plugin.put('k', 'same', { ifVersion: first })
      for (const version of [first, second]) {
        ok(!seen.has(version), `expected a version that was never used, found ${version} again: a writer who slept would not notice`)
        seen.add(version)
      }
      await plugin.delete('k', { ifVersion: second })
    }
  }),
  rule('isolated', 'shares nothing with another journal', async ({ plugin }, { make }) => {
    const { plugin: other } = await make()
    await plugin.put('k', 1, { ifVersion: null })
    await missing(other, 'k')
    await other.put('k', 2, { ifVersion: null })
    await holds(plugin, 'k', 1)
    deepStrictEqual(await listed(other.list('')), ['k'])
  }),
]
