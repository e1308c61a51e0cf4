import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { crc32 } from '../../content/crc32.ts'
import type { Descriptor } from '../../content/descriptor.ts'
import { digestOf } from '../../content/digest.ts'
import type { CacheRule } from '../cache-suite.ts'
import { contextOf } from '../content.ts'
import { refused } from '../refusal.ts'
import { slowSource } from '../sources.ts'
import { within } from '../within.ts'
import { contentOf, gives, hold, rule } from './cache-rule.ts'

/** Bytes: around chunk sizes, and nothing at all. */
const sizes = [0, 1, 4_095, 65_536, 65_537, 300_000]

/** What a held image gives. */
export const cacheHoldRules: readonly CacheRule[] = [
  rule('whole', 'gives back, whole, what its source gave', async ({ plugin }) => {
    for (const size of sizes) {
      const { bytes, descriptor, source } = contentOf(size, size + 1)
      const image = await hold(plugin, descriptor, source)
      await gives(image, bytes)
      strictEqual(source.opened, 1, `expected the source of ${size} bytes to be opened once, found ${source.opened} times`)
      strictEqual(source.ended, 1, `expected the source of ${size} bytes to be read to its end or closed`)
    }
  }),
  rule('ranges', 'gives any part, also an empty one', async ({ plugin }) => {
    const { bytes, descriptor, source } = contentOf(200_001)
    const image = await hold(plugin, descriptor, source)
    for (const offset of [0, 1, 65_535, 65_536, 199_999, 200_000, 200_001]) await gives(image, bytes, { offset })
    for (const length of [0, 1, 2, 65_536, 65_537]) {
      for (const offset of [0, 1, 65_535, 200_001 - length]) await gives(image, bytes, { offset, length })
    }
  }),
  rule('ranges-outside', 'refuses a part that lies outside', async ({ plugin }) => {
    const { bytes, descriptor, source } = contentOf(100)
    const image = await hold(plugin, descriptor, source)
    const wrong = [
      { offset: 101 },
      { offset: -1 },
      { offset: 0, length: 101 },
      { offset: 100, length: 1 },
      { offset: 0.5 },
      { offset: Number.NaN },
    ]
    for (const range of [...wrong, { offset: 1, length: -1 }, { offset: Number.MAX_SAFE_INTEGER, length: 1 }]) {
      const shown = JSON.stringify(range)
      await refused(`body(${shown})`, { fault: 'invalid', code: 'INVALID_RANGE' }, () => image.body(range))
      await refused(`open(${shown})`, { fault: 'invalid', code: 'INVALID_RANGE' }, async () => {
        for await (const _ of image.open(range));
      })
    }
    await gives(image, bytes)
  }),
  rule('facts', 'says the CRC-32 of the whole, unsigned, and the descriptor that was passed', async ({ plugin }) => {
    for (let seed = 1; seed <= 4; seed++) {
      const { bytes, descriptor, source } = contentOf(1_000, seed)
      const named: Descriptor = { ...descriptor, mediaType: `application/x-${seed}`, annotations: { seed: String(seed) } }
      const image = await hold(plugin, named, source)
      strictEqual(image.crc32, crc32(bytes), 'crc32')
      deepStrictEqual(image.descriptor, named, 'descriptor')
      const other = await hold(plugin, descriptor, source)
      deepStrictEqual(other.descriptor, descriptor, 'descriptor of a second hold')
      strictEqual(other.crc32, crc32(bytes), 'crc32 of a second hold')
    }
  }),
  rule('once', 'opens no source of what it holds already', async ({ plugin }) => {
    const { bytes, descriptor, source } = contentOf(70_000)
    await hold(plugin, descriptor, source)
    for (let time = 0; time < 3; time++) await gives(await hold(plugin, { ...descriptor }, source), bytes)
    strictEqual(source.opened, 1, `expected the source to be opened once, found ${source.opened} times`)
  }),
  rule('algorithms', 'holds content by SHA-384 and SHA-512 too', async ({ plugin }) => {
    const { bytes, descriptor, source } = contentOf(5_000)
    for (const algorithm of ['sha384', 'sha512'] as const) {
      await gives(await hold(plugin, { ...descriptor, digest: digestOf(bytes, algorithm) }, source), bytes)
    }
  }),
  rule('slow', 'waits for a source that gives little at a time, and at times nothing', async ({ plugin }, { stepMs }) => {
    const { bytes, descriptor } = contentOf(600)
    await gives(await within(stepMs, 'hold', hold(plugin, descriptor, slowSource(bytes, 7))), bytes)
  }),
  rule('progress', 'tells its caller of progress, never backwards, up to the whole', async ({ plugin }) => {
    const { descriptor, source } = contentOf(200_000)
    const told: (readonly [number, number])[] = []
    const progress = (done: number, total: number): void => void told.push([done, total])
    await plugin.hold(descriptor, async () => source.open(), { ...contextOf(), progress })
    deepStrictEqual(told.at(-1), [200_000, 200_000], 'the last progress')
    ok(
      told.every(([done, total], index) => total === 200_000 && done <= total && done >= (told[index - 1]?.[0] ?? 0)),
      `expected progress that grows up to 200000, found ${JSON.stringify(told).slice(0, 200)}`,
    )
  }),
  rule('isolated', 'shares nothing with another cache', async ({ plugin }, { make }) => {
    const { plugin: other } = await make()
    const { bytes, descriptor, source } = contentOf(1_000)
    await hold(plugin, descriptor, source)
    await gives(await hold(other, descriptor, source), bytes)
    strictEqual(source.opened, 2, `expected each cache to open the source, found it opened ${source.opened} times`)
  }),
]
