import { ok, strictEqual } from 'node:assert/strict'
import type { ByteStream } from '../../content/byte-stream.ts'
import type { CacheRule } from '../cache-suite.ts'
import { contextOf, damaged } from '../content.ts'
import { otaError, refused, refusesFired } from '../refusal.ts'
import { plainSource, stalledSource } from '../sources.ts'
import { until, within } from '../within.ts'
import { contentOf, gives, hold, rule } from './cache-rule.ts'

type Open = (options: { readonly signal: AbortSignal }) => Promise<ByteStream>

/** A source that opens when it is told to. */
function gate(open: () => ByteStream) {
  const opening = Promise.withResolvers<void>()
  let opened = 0
  let signal: AbortSignal | undefined
  const wait: Open = async (given) => {
    opened += 1
    signal = given.signal
    await opening.promise
    return open()
  }
  return { wait, open: opening.resolve, opened: () => opened, signal: () => signal }
}

/** Several callers, and callers who leave. */
export const cacheCallerRules: readonly CacheRule[] = [
  rule('shared', 'shares one download among all who ask for the same content at the same time', async ({ plugin }, { stepMs }) => {
    const { bytes, descriptor, source } = contentOf(100_000)
    const { wait, open, opened } = gate(source.open)
    const all = Promise.all([1, 2, 3, 4].map(() => plugin.hold(descriptor, wait, contextOf())))
    await until(stepMs, 'the source was opened', () => opened() > 0)
    open()
    for (const image of await within(stepMs, 'four holds', all)) await gives(image, bytes)
    strictEqual(opened(), 1, `expected one download, found ${opened()}`)
  }),
  rule('shared-failure', 'fails all who share a download with what was wrong with it', async ({ plugin }, { stepMs }) => {
    const { bytes, descriptor } = contentOf(1_000)
    const wrong = damaged(bytes)[0] as { bytes: Uint8Array }
    const { wait, open, opened } = gate(plainSource(wrong.bytes).open)
    const all = Promise.allSettled([1, 2, 3].map(() => plugin.hold(descriptor, wait, contextOf())))
    await until(stepMs, 'the source was opened', () => opened() > 0)
    open()
    for (const result of await within(stepMs, 'three holds', all)) {
      strictEqual(result.status, 'rejected')
      otaError('a shared download of the wrong size', (result as PromiseRejectedResult).reason, {
        fault: 'rejected',
        code: 'TRUNCATED',
      })
    }
  }),
  rule('other-content', 'keeps downloads of different content apart', async ({ plugin }) => {
    const contents = Array.from({ length: 8 }, (_, index) => contentOf(20_000 + index, index + 1))
    const images = await Promise.all(contents.map(({ descriptor, source }) => hold(plugin, descriptor, source)))
    for (const [index, image] of images.entries()) await gives(image, (contents[index] as { bytes: Uint8Array }).bytes)
  }),
  rule('abort-before', 'opens nothing for a caller who has left', async ({ plugin }) => {
    const { bytes, descriptor, source } = contentOf(1_000)
    await refusesFired('hold', (signal) => hold(plugin, descriptor, source, signal))
    strictEqual(source.opened, 0, 'expected no source to be opened')
    await gives(await hold(plugin, descriptor, source), bytes)
    await refusesFired('hold of what is held', (signal) => hold(plugin, descriptor, source, signal))
  }),
  rule(
    'abort-during',
    'lets the last caller go, ends the download with the signal that it gave, and starts anew',
    async ({ plugin }, { stepMs }) => {
      const { bytes, descriptor, source } = contentOf(1_000)
      const stalled = stalledSource(bytes.subarray(0, 400))
      const controller = new AbortController()
      let given: AbortSignal | undefined
      const held = plugin.hold(
        descriptor,
        async ({ signal }) => {
          given = signal
          return stalled.open()
        },
        contextOf(controller.signal),
      )
      held.catch(() => undefined)
      await until(stepMs, 'the source was opened', () => stalled.opened === 1)
      controller.abort()
      await within(
        stepMs,
        'hold whose caller has left',
        refused('hold', { fault: 'aborted' }, () => held),
      )
      ok(given?.aborted, 'expected the signal that the source got to fire when the last caller left')
      await until(stepMs, 'the source was closed', () => stalled.ended === 1)
      await gives(await within(stepMs, 'the next hold', hold(plugin, descriptor, source)), bytes)
    },
  ),
  rule('abort-opening', 'leaves a source that never opens', async ({ plugin }, { stepMs }) => {
    const { bytes, descriptor, source } = contentOf(1_000)
    const controller = new AbortController()
    const { wait, opened } = gate(source.open)
    const held = plugin.hold(descriptor, wait, contextOf(controller.signal))
    held.catch(() => undefined)
    await until(stepMs, 'the source was asked to open', () => opened() === 1)
    controller.abort()
    await within(
      stepMs,
      'hold whose caller has left',
      refused('hold', { fault: 'aborted' }, () => held),
    )
    await gives(await within(stepMs, 'the next hold', hold(plugin, descriptor, source)), bytes)
  }),
  rule('first-leaves', 'lets the first caller go at once, and goes on for the second', async ({ plugin }, { stepMs }) => {
    const { bytes, descriptor, source } = contentOf(1_000)
    const first = new AbortController()
    const { wait, open, opened, signal } = gate(source.open)
    const one = plugin.hold(descriptor, wait, contextOf(first.signal))
    one.catch(() => undefined)
    const two = plugin.hold(descriptor, wait, contextOf())
    two.catch(() => undefined)
    await until(stepMs, 'the source was opened', () => opened() > 0)
    first.abort()
    await within(
      stepMs,
      'the first hold',
      refused('the first hold', { fault: 'aborted' }, () => one),
    )
    ok(signal()?.aborted === false, 'expected the signal of the shared download not to fire while somebody waits')
    open()
    await gives(await within(stepMs, 'the second hold', two), bytes)
    strictEqual(opened(), 1, 'expected one download')
  }),
  rule('abort-after', 'keeps what it holds when a caller leaves later', async ({ plugin }) => {
    const { bytes, descriptor, source } = contentOf(1_000)
    const controller = new AbortController()
    const image = await hold(plugin, descriptor, source, controller.signal)
    controller.abort()
    await gives(image, bytes)
    await gives(await hold(plugin, descriptor, source), bytes)
    strictEqual(source.opened, 1)
  }),
]
