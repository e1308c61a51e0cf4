import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { listed } from '../content.ts'
import type { JournalRule } from '../journal-suite.ts'
import { holds, rule } from './journal-rule.ts'

/** Keys that a sloppy prefix, a pattern or a collation would confuse. */
const keys = [
  'a',
  'a ',
  'a%',
  'a/',
  'a/b',
  'a/b/c',
  'a0',
  'aB',
  'aa',
  'ab',
  'a_',
  'A',
  'b',
  'Z',
  '~',
  '!',
  '*',
  '%',
  '_',
  '[a]',
  "'",
  '"',
  '\\',
]

/** More than one page of any database. */
const manyKeys = 1_200

/** What `list` gives, and in which order. */
export const journalListRules: readonly JournalRule[] = [
  rule('list-prefix', 'lists the keys that begin with a prefix, and only them', async ({ plugin }) => {
    for (const key of keys) await plugin.put(key, key, { ifVersion: null })
    for (const prefix of ['', 'a', 'a/', 'a/b', 'A', '%', '_', '*', '[', '\\', 'none', 'a/b/c/d']) {
      const found = new Set(await listed(plugin.list(prefix)))
      deepStrictEqual(found, new Set(keys.filter((key) => key.startsWith(prefix))), `list(${JSON.stringify(prefix)})`)
    }
  }),
  rule('list-order', 'lists in the order of code units, each key once', async ({ plugin }) => {
    for (const key of keys.toReversed()) await plugin.put(key, key, { ifVersion: null })
    for (const prefix of ['', 'a']) {
      deepStrictEqual(
        await listed(plugin.list(prefix)),
        keys.filter((key) => key.startsWith(prefix)).sort(),
        `list(${JSON.stringify(prefix)})`,
      )
    }
  }),
  rule('list-many', 'lists more keys than fit into one page', async ({ plugin }) => {
    const many = Array.from({ length: manyKeys }, (_, index) => `many/${String(index).padStart(5, '0')}`)
    await Promise.all(many.map((key) => plugin.put(key, null, { ifVersion: null })))
    await plugin.put('other', null, { ifVersion: null })
    deepStrictEqual(await listed(plugin.list('many/')), many)
  }),
  rule('list-while-writing', 'lists what stays exactly once while other keys come and go', async ({ plugin }) => {
    const stay = Array.from({ length: 400 }, (_, index) => `s/${String(index).padStart(4, '0')}`)
    for (const key of stay) await plugin.put(key, null, { ifVersion: null })
    const found: string[] = []
    let count = 0
    for await (const key of plugin.list('s/')) {
      found.push(key)
      count += 1
      if (count % 50 !== 0) continue
      const passing = `${key}/passing`
      await plugin.delete(passing, { ifVersion: await plugin.put(passing, null, { ifVersion: null }) })
    }
    deepStrictEqual(
      found.filter((key) => !key.endsWith('/passing')),
      stay,
    )
  }),
  rule('list-left', 'can be left in the middle of a list, and used in it', async ({ plugin }) => {
    for (const key of ['a', 'b', 'c']) await plugin.put(key, key, { ifVersion: null })
    for await (const key of plugin.list('')) {
      strictEqual(key, 'a')
      break
    }
    let isRead = false
    for await (const key of plugin.list('')) {
      const version = await holds(plugin, key, key)
      await plugin.put(key, `${key}!`, { ifVersion: version })
      isRead = true
    }
    ok(isRead, 'expected keys, found none')
    deepStrictEqual(await listed(plugin.list('')), ['a', 'b', 'c'])
  }),
]
