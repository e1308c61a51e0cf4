import { strictEqual } from 'node:assert/strict'
import type { Digest } from '../../content/digest.ts'
import type { CacheInstance, CacheRule } from '../cache-suite.ts'
import { damaged, sampleBytes } from '../content.ts'
import { refused } from '../refusal.ts'
import { brokenSource, endlessSource, plainSource } from '../sources.ts'
import { within } from '../within.ts'
import { contentOf, gives, hold, rule } from './cache-rule.ts'

const mismatch = { fault: 'rejected', code: 'DIGEST_MISMATCH' } as const
const wrongSize = { fault: 'rejected', code: 'SIZE_MISMATCH' } as const
const truncated = { fault: 'rejected', code: 'TRUNCATED' } as const
const trailing = { fault: 'rejected', code: 'TRAILING_BYTES' } as const

const expectedFor = (found: Uint8Array, right: Uint8Array) =>
  found.length === right.length ? mismatch : found.length < right.length ? truncated : trailing

const resting = {
  what: 'again() and spoil()',
  missing: 'make() gives no again() and spoil(): nobody else can reach what it holds',
  has: ({ again, spoil }: CacheInstance) => again !== undefined && spoil !== undefined,
}
const durable = {
  what: 'again()',
  missing: 'make() gives no again(): it does not outlive its process',
  has: ({ again }: CacheInstance) => again !== undefined,
}

/** Sources that lie, break or never end, and storage that rots. */
export const cacheDamageRules: readonly CacheRule[] = [
  rule(
    'other-bytes',
    'refuses content that has another digest than it claims, ends too early or goes on too long, and keeps none of it',
    async ({ plugin }) => {
      const { bytes, descriptor, source } = contentOf(70_000)
      for (const wrong of damaged(bytes)) {
        await refused(`content ${wrong.name}`, expectedFor(wrong.bytes, bytes), () => hold(plugin, descriptor, plainSource(wrong.bytes)))
      }
      strictEqual(source.opened, 0)
      await gives(await hold(plugin, descriptor, source), bytes)
      strictEqual(source.opened, 1, 'expected the right content to be fetched after all the wrong')
    },
  ),
  rule(
    'wrong-size',
    'refuses a descriptor with another size for the same digest, before and after it holds the content',
    async ({ plugin }) => {
      const { bytes, descriptor, source } = contentOf(1_000)
      for (const isHeld of [false, true]) {
        for (const size of [999, 1_001, 0]) {
          const what = `size ${size}${isHeld ? ' of content that is held' : ''}`
          const expected = isHeld ? wrongSize : size < bytes.length ? trailing : truncated
          await refused(what, expected, () => hold(plugin, { ...descriptor, size }, source))
        }
        await gives(await hold(plugin, descriptor, source), bytes)
      }
    },
  ),
  rule('no-descriptor', 'refuses what is no size and no digest', async ({ plugin }) => {
    const { descriptor, source } = contentOf(10)
    for (const size of [Number.NaN, -1, 0.5, 2 ** 53]) {
      await refused(`size ${size}`, { fault: 'invalid', code: 'INVALID_DESCRIPTOR' }, () => hold(plugin, { ...descriptor, size }, source))
    }
    for (const digest of ['', 'sha256:', 'sha256:../../x', descriptor.digest.toUpperCase(), `${descriptor.digest}0`, 'md5:00']) {
      const lie = { ...descriptor, digest: digest as Digest }
      await refused(`digest ${digest}`, { fault: 'invalid', code: 'INVALID_DIGEST' }, () => hold(plugin, lie, source))
    }
    strictEqual(source.opened, 0, 'expected no source to be opened for them')
  }),
  rule('endless', 'ends with a source that does not end, and closes it', async ({ plugin }, { stepMs }) => {
    const { descriptor } = contentOf(100_000)
    const source = endlessSource()
    await within(
      stepMs,
      'hold of an endless source',
      refused('an endless source', trailing, () => hold(plugin, descriptor, source)),
    )
    strictEqual(source.ended, 1, 'expected the endless source to be closed')
  }),
  rule('broken-source', 'fails with the error of a source that breaks, and starts anew the next time', async ({ plugin }) => {
    const { bytes, descriptor, source } = contentOf(1_000)
    const failure = new Error('the connection broke')
    for (const part of [0, 1, 999, 1_000]) {
      const error: unknown = await hold(plugin, descriptor, brokenSource(bytes.subarray(0, part), failure)).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      strictEqual(error, failure, `a source that broke after ${part} bytes: expected its error`)
    }
    const opening: unknown = await plugin
      .hold(descriptor, () => Promise.reject(failure), { signal: new AbortController().signal, now: new Date(0) })
      .then(
        () => undefined,
        (reason: unknown) => reason,
      )
    strictEqual(opening, failure, 'a source that does not open: expected its error')
    await gives(await hold(plugin, descriptor, source), bytes)
  }),
  rule(
    'restart',
    'holds over a restart what it held, and no wrong size of it',
    async ({ plugin, again }) => {
      const { bytes, descriptor, source } = contentOf(100_000)
      await hold(plugin, descriptor, source)
      const reopened = await (again as NonNullable<typeof again>)()
      await refused('a wrong size after a restart', wrongSize, () => hold(reopened, { ...descriptor, size: 99_999 }, source))
      const before = source.opened
      await gives(await hold(reopened, descriptor, source), bytes)
      strictEqual(source.opened, before, 'expected the source not to be opened again after a restart')
    },
    durable,
  ),
  rule(
    'spoiled',
    'never gives out content that was damaged at rest',
    async ({ plugin, again, spoil }) => {
      const { bytes, descriptor, source } = contentOf(100_000)
      await hold(plugin, descriptor, source)
      await hold(plugin, contentOf(10, 9).descriptor, plainSource(sampleBytes(10, 9)))
      await (spoil as NonNullable<typeof spoil>)(descriptor.digest)
      const reopened = await (again as NonNullable<typeof again>)()
      await gives(await hold(reopened, descriptor, source), bytes)
      strictEqual(source.opened, 2, 'expected damaged content to be fetched again')
    },
    resting,
  ),
]
