import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { isOtaError } from '../../errors.ts'
import type { Journal } from '../../plugin/journal.ts'
import { listed } from '../content.ts'
import type { JournalInstance, JournalRule } from '../journal-suite.ts'
import { otaError } from '../refusal.ts'
import { conflicts, holds, missing, rule } from './journal-rule.ts'

/** Reads, decides, writes, and begins anew where another writer was faster. */
async function increase(journal: Journal, key: string): Promise<void> {
  for (;;) {
    const entry = await journal.get(key)
    try {
      await journal.put(key, ((entry?.value as number | undefined) ?? 0) + 1, { ifVersion: entry?.version ?? null })
      return
    } catch (error) {
      if (!isOtaError(error) || error.code !== 'JOURNAL_CONFLICT') throw error
    }
  }
}

async function countUp(writers: readonly Journal[], each: number): Promise<void> {
  await Promise.all(
    writers.map(async (journal) => {
      for (let count = 0; count < each; count++) await increase(journal, 'counter')
    }),
  )
}

async function race(what: string, contenders: readonly (() => Promise<unknown>)[]): Promise<void> {
  const results = await Promise.allSettled(contenders.map((contend) => contend()))
  const winners = results.filter(({ status }) => status === 'fulfilled').length
  for (const result of results) {
    if (result.status === 'rejected') otaError(what, result.reason, { fault: 'unavailable', code: 'JOURNAL_CONFLICT' })
  }
  strictEqual(winners, 1, `${what}: expected one winner, found ${winners}`)
}

const durable = {
  what: 'again()',
  missing: 'make() gives no again(): it does not outlive its process',
  has: ({ again }: JournalInstance) => again !== undefined,
}
const shared = {
  what: 'second()',
  missing: 'make() gives no second(): its storage is its own',
  has: ({ second }: JournalInstance) => second !== undefined,
}

/** Several writers, and what outlives them. */
export const journalWriterRules: readonly JournalRule[] = [
  rule('one-winner', 'lets one of many writers win who name the same version', async ({ plugin }) => {
    const numbers = Array.from({ length: 20 }, (_, index) => index)
    await race(
      'put over nothing',
      numbers.map((index) => () => plugin.put('k', index, { ifVersion: null })),
    )
    const version = (await plugin.get('k'))?.version as string
    await race(
      'put over one version',
      numbers.map((index) => () => plugin.put('k', index, { ifVersion: version })),
    )
    const next = (await plugin.get('k'))?.version as string
    await race(
      'delete of one version',
      numbers.map(() => () => plugin.delete('k', { ifVersion: next })),
    )
    await missing(plugin, 'k')
  }),
  rule('no-lost-update', 'loses no update of several writers who read and write at the same time', async ({ plugin }) => {
    await countUp([plugin, plugin, plugin, plugin, plugin], 8)
    await holds(plugin, 'counter', 40)
  }),
  rule('read-your-write', 'shows at once what it has acknowledged, while others write', async ({ plugin }) => {
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const key = `k/${String(index).padStart(2, '0')}`
        const version = await plugin.put(key, index, { ifVersion: null })
        strictEqual(await holds(plugin, key, index), version)
      }),
    )
    strictEqual((await listed(plugin.list('k/'))).length, 20)
  }),
  rule(
    'durable',
    'keeps what it has acknowledged over a restart, versions and expiries included',
    async ({ plugin, again }) => {
      const version = await plugin.put('k', { a: 1 }, { ifVersion: null })
      const gone = await plugin.put('gone', 1, { ifVersion: null })
      await plugin.delete('gone', { ifVersion: gone })
      await plugin.put('late', 1, { ifVersion: null, expires: new Date(0) })
      const reopened = await (again as NonNullable<typeof again>)()
      strictEqual(await holds(reopened, 'k', { a: 1 }), version)
      deepStrictEqual(await listed(reopened.list('')), ['k'])
      const next = await reopened.put('gone', 2, { ifVersion: null })
      ok(next !== gone && next !== version, `expected a version that was never used, found ${next} again after a restart`)
      await conflicts('put over a version from before the restart that is gone', () => reopened.put('gone', 3, { ifVersion: gone }))
    },
    durable,
  ),
  rule(
    'two-plugins',
    'loses no update of two plugins over the same storage',
    async ({ plugin, second }) => {
      const other = await (second as NonNullable<typeof second>)()
      const version = await plugin.put('k', 1, { ifVersion: null })
      strictEqual(await holds(other, 'k', 1), version)
      await other.put('k', 2, { ifVersion: version })
      await conflicts('put over what the other plugin has replaced', () => plugin.put('k', 3, { ifVersion: version }))
      await countUp([plugin, other, plugin, other], 6)
      await holds(plugin, 'counter', 24)
    },
    shared,
  ),
]
