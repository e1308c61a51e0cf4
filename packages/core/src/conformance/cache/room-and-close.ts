import { ok, strictEqual } from 'node:assert/strict'
import type { CacheInstance, CacheRule, CacheSettings } from '../cache-suite.ts'
import { expectBytes, gather } from '../content.ts'
import { closeRules } from '../plugin-rules.ts'
import { refused } from '../refusal.ts'
import { stalledSource } from '../sources.ts'
import { until, within } from '../within.ts'
import { contentOf, gives, hold, rule } from './cache-rule.ts'

const full = { fault: 'unavailable', code: 'CACHE_FULL' } as const

/** Its bound, and its end. */
export const cacheRoomRules: readonly CacheRule[] = [
  rule('too-large', 'refuses what can never fit, without opening its source', async (_instance, { make }) => {
    const { plugin } = await make({ limitBytes: 10_000 })
    const { descriptor, source } = contentOf(10_001)
    await refused('content larger than the cache', full, () => hold(plugin, descriptor, source))
    strictEqual(source.opened, 0, 'expected the source not to be opened')
    const fitting = contentOf(10_000, 2)
    await gives(await hold(plugin, fitting.descriptor, fitting.source), fitting.bytes)
  }),
  rule('bounded', 'holds no more than its limit: what it was given first must be fetched again', async (_instance, { make }) => {
    const { plugin } = await make({ limitBytes: 10_000 })
    const contents = Array.from({ length: 6 }, (_, index) => contentOf(4_000, index + 1))
    for (const { descriptor, source } of contents) await hold(plugin, descriptor, source)
    for (const { bytes, descriptor, source } of contents) {
      expectBytes('open()', await gather('open()', (await hold(plugin, descriptor, source)).open()), bytes)
    }
    const opened = contents.reduce((sum, { source }) => sum + source.opened, 0)
    ok(opened >= 6 + 4, `expected at most 2 of 6 to be held in 10000 bytes, found ${12 - opened} of them not fetched again`)
  }),
  rule('recently-used', 'lets go first what was used least recently', async (_instance, { make }) => {
    const { plugin } = await make({ limitBytes: 3_500 })
    const [a, b, c, d] = [1, 2, 3, 4].map((seed) => contentOf(1_000, seed)) as [Content, Content, Content, Content]
    for (const { descriptor, source } of [a, b, c, a, d]) await hold(plugin, descriptor, source)
    for (const { descriptor, source } of [a, c, d]) await hold(plugin, descriptor, source)
    for (const [name, { source }] of Object.entries({ a, c, d })) strictEqual(source.opened, 1, `${name}: expected it to be held still`)
    await hold(plugin, b.descriptor, b.source)
    strictEqual(b.source.opened, 2, 'expected that what was used least recently was let go')
  }),
  rule('held-stays', 'keeps an image readable that somebody holds, whatever comes after it', async (_instance, { make }) => {
    const { plugin } = await make({ limitBytes: 2_500 })
    const { bytes, descriptor, source } = contentOf(1_000)
    const image = await hold(plugin, descriptor, source)
    const reading = image.open()[Symbol.asyncIterator]()
    const begun = await reading.next()
    for (let seed = 2; seed < 6; seed++) {
      const next = contentOf(1_000, seed)
      await hold(plugin, next.descriptor, next.source)
    }
    const rest = await gather('open()', { [Symbol.asyncIterator]: () => reading })
    expectBytes('a stream that was open', Buffer.concat([begun.done ? new Uint8Array() : begun.value, rest]), bytes)
    await gives(image, bytes)
    await gives(image, bytes, { offset: 1, length: 998 })
  }),
  ...closeRules<CacheInstance, CacheSettings>('cache'),
  rule(
    'closed',
    'refuses to hold anything after it was closed, and ends downloads that run',
    async ({ plugin }, { stepMs }) => {
      const { bytes, descriptor, source } = contentOf(1_000)
      await gives(await hold(plugin, descriptor, source), bytes)
      const other = contentOf(1_000, 2)
      const stalled = stalledSource(other.bytes.subarray(0, 10))
      const running = hold(plugin, other.descriptor, stalled)
      running.catch(() => undefined)
      await until(stepMs, 'the source was opened', () => stalled.opened === 1)
      await within(stepMs, 'close() while a download hangs', plugin.close?.())
      const anyFault = { fault: ['aborted', 'unavailable'] } as const
      await within(
        stepMs,
        'hold before close()',
        refused('hold before close()', anyFault, () => running),
      )
      await within(
        stepMs,
        'hold after close()',
        refused('hold after close()', { fault: ['unavailable', 'invalid', 'aborted'] }, () => hold(plugin, descriptor, source)),
      )
    },
    { what: 'close()', has: ({ plugin }) => plugin.close !== undefined },
  ),
]

type Content = ReturnType<typeof contentOf>
