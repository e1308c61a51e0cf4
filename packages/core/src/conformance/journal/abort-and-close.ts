import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import { listed } from '../content.ts'
import type { JournalInstance, JournalRule, JournalSettings } from '../journal-suite.ts'
import { closeRules } from '../plugin-rules.ts'
import { refused, refusesFired, survives } from '../refusal.ts'
import { within } from '../within.ts'
import { holds, missing, rule } from './journal-rule.ts'

/** A caller who leaves: before, during, after. */
export const journalAbortRules: readonly JournalRule[] = [
  rule('abort-before', 'does nothing for a caller who has left', async ({ plugin }) => {
    const version = await plugin.put('k', 1, { ifVersion: null })
    await refusesFired('get', (signal) => plugin.get('k', { signal }))
    await refusesFired('put', (signal) => plugin.put('k', 2, { ifVersion: version, signal }))
    await refusesFired('put', (signal) => plugin.put('new', 2, { ifVersion: null, signal }))
    await refusesFired('delete', (signal) => plugin.delete('k', { ifVersion: version, signal }))
    await refusesFired('list', (signal) => listed(plugin.list('', { signal })))
    await holds(plugin, 'k', 1)
    await missing(plugin, 'new')
  }),
  rule(
    'abort-during',
    'lets a caller go who leaves, with an end to every call and no value but one of the two',
    async ({ plugin }, { stepMs }) => {
      const controllers = Array.from({ length: 10 }, () => new AbortController())
      const puts = controllers.map(({ signal }, index) =>
        survives('put', { fault: 'aborted' }, () => plugin.put(`k${index}`, index, { ifVersion: null, signal })),
      )
      for (const controller of controllers) controller.abort()
      const versions = await within(stepMs, 'put whose caller has left', Promise.all(puts))
      for (const [index, version] of versions.entries()) {
        const entry = await plugin.get(`k${index}`)
        if (version !== undefined) strictEqual(entry?.version, version, 'expected what put has acknowledged')
        // Whoever was told `aborted` reads again: either outcome is one, as long as it stays.
        await plugin.put(`k${index}`, 'next', { ifVersion: entry?.version ?? null })
        await holds(plugin, `k${index}`, 'next')
      }
    },
  ),
  rule('abort-after', 'does not undo what was done before its caller left', async ({ plugin }) => {
    const controller = new AbortController()
    const { signal } = controller
    const version = await plugin.put('k', 1, { ifVersion: null, signal })
    strictEqual((await plugin.get('k', { signal }))?.version, version)
    controller.abort()
    await holds(plugin, 'k', 1)
    deepStrictEqual(await listed(plugin.list('')), ['k'])
  }),
  rule('abort-list', 'ends a list in its middle when its caller leaves', async ({ plugin }) => {
    for (const key of ['a', 'b', 'c']) await plugin.put(key, key, { ifVersion: null })
    const controller = new AbortController()
    const found: string[] = []
    await refused('list', { fault: 'aborted' }, async () => {
      for await (const key of plugin.list('', { signal: controller.signal })) {
        found.push(key)
        controller.abort()
      }
    })
    deepStrictEqual(found, ['a'])
  }),
]

const closing = { what: 'close()', has: ({ plugin }: JournalInstance) => plugin.close !== undefined }
const anyFault = { fault: ['invalid', 'unavailable', 'aborted', 'unsupported'] } as const

/** After the end. */
export const journalCloseRules: readonly JournalRule[] = [
  ...closeRules<JournalInstance, JournalSettings>('journal'),
  rule(
    'closed',
    'refuses every call after it was closed, and ends those that were before',
    async ({ plugin }, { stepMs }) => {
      const version = await plugin.put('k', 1, { ifVersion: null })
      const before = plugin.put('last', 2, { ifVersion: null })
      await within(stepMs, 'put before close()', before)
      await within(stepMs, 'close()', plugin.close?.())
      const calls = {
        get: () => plugin.get('k'),
        put: () => plugin.put('k', 2, { ifVersion: version }),
        delete: () => plugin.delete('k', { ifVersion: version }),
        list: () => listed(plugin.list('')),
      }
      for (const [name, call] of Object.entries(calls)) {
        await within(stepMs, `${name} after close()`, refused(`${name} after close()`, anyFault, call))
      }
    },
    closing,
  ),
  rule(
    'close-waits',
    'has stored what it was given before close() when close() ends',
    async ({ plugin, again }, { stepMs }) => {
      const puts = Array.from({ length: 20 }, (_, index) => plugin.put(`k${index}`, index, { ifVersion: null }))
      const settled = Promise.allSettled(puts)
      await within(stepMs, 'close()', plugin.close?.())
      const results = await within(stepMs, 'put before close()', settled)
      const reopened = await (again as NonNullable<typeof again>)()
      for (const [index, result] of results.entries()) {
        if (result.status === 'fulfilled') await holds(reopened, `k${index}`, index)
      }
    },
    {
      what: 'close() and again()',
      missing: 'make() gives no again(), or the plugin no close()',
      has: ({ plugin, again }: JournalInstance) => plugin.close !== undefined && again !== undefined,
    },
  ),
]
