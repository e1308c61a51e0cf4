import { notStrictEqual } from 'node:assert/strict'
import type { Digest } from '../../content/digest.ts'
import { expectBytes, gather } from '../content.ts'
import { refused } from '../refusal.ts'
import type { RegistryRule } from '../registry-suite.ts'
import { absent, fetched, notFound, rule, sample, storeSample } from './registry-rule.ts'

const sizes = [1, 2, 65_535, 65_536, 65_537, 300_000]

/** The bytes of manifests and blobs. */
export const registryFetchRules: readonly RegistryRule[] = [
  rule('fetch-whole', 'gives the bytes of manifests and blobs as they were stored', async (instance) => {
    const { plugin, repositories } = instance
    for (const [index, size] of sizes.entries()) {
      const one = sample(index + 1, { size })
      await storeSample(instance, one, `1.0.${index}`)
      for (const { descriptor, bytes } of [one.config, one.layer, one.manifest]) {
        expectBytes(`${descriptor.mediaType} of ${bytes.length} bytes`, await fetched(plugin, repositories[0], descriptor), bytes)
      }
    }
  }),
  rule('fetch-offset', 'gives the bytes from an offset on, up to the very end', async (instance) => {
    const { plugin, repositories } = instance
    const one = sample(1, { size: 100_001 })
    await storeSample(instance, one, '1.0.0')
    for (const { descriptor, bytes } of [one.layer, one.manifest]) {
      for (const offset of [0, 1, bytes.length >> 1, bytes.length - 1, bytes.length]) {
        expectBytes(`from ${offset} of ${bytes.length}`, await fetched(plugin, repositories[0], descriptor, offset), bytes.subarray(offset))
      }
    }
  }),
  rule('fetch-outside', 'refuses an offset that lies outside', async (instance) => {
    const { plugin, repositories } = instance
    const { layer, ...rest } = sample(1)
    await storeSample(instance, { layer, ...rest }, '1.0.0')
    for (const offset of [-1, 1_001, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await refused(`offset ${offset}`, { fault: 'invalid', code: 'INVALID_RANGE' }, () =>
        fetched(plugin, repositories[0], layer.descriptor, offset),
      )
    }
  }),
  rule('fetch-missing', 'says NOT_FOUND for a blob, a manifest and a repository that do not exist', async (instance) => {
    const { plugin, repositories } = instance
    const one = sample(1)
    await storeSample(instance, one, '1.0.0')
    for (const { descriptor } of [one.layer, one.manifest]) {
      const what = `another ${descriptor.mediaType}`
      await refused(what, notFound, () => fetched(plugin, repositories[0], absent(descriptor)))
      await refused(`${what} of an empty repository`, notFound, () => fetched(plugin, repositories[1], descriptor))
    }
  }),
  rule('fetch-no-descriptor', 'refuses what is no digest, at every offset', async (instance) => {
    const { plugin, repositories } = instance
    const { layer, ...rest } = sample(1)
    await storeSample(instance, { layer, ...rest }, '1.0.0')
    const hex = layer.descriptor.digest.slice(7)
    const digests = [
      '',
      'sha256:',
      'sha256:../../../x',
      `sha256:${hex.toUpperCase()}`,
      `sha256:${hex}0`,
      `sha256:${hex}?x`,
      `md5:${hex}`,
      hex,
    ]
    for (const digest of digests as Digest[]) {
      for (const offset of [0, 1]) {
        const call = () => fetched(plugin, repositories[0], { ...layer.descriptor, digest }, offset)
        await refused(`digest ${digest} from ${offset} on`, { fault: 'invalid' }, call)
      }
    }
  }),
  rule('fetch-chunks', 'never writes into a chunk again that it has given out', async (instance) => {
    const { plugin, repositories } = instance
    const one = sample(1, { size: 400_000 })
    await storeSample(instance, one, '1.0.0')
    const stream = await plugin.fetch(repositories[0], one.layer.descriptor)
    const copies: (readonly [Uint8Array, Uint8Array])[] = []
    for await (const chunk of stream) copies.push([chunk, chunk.slice()])
    for (const [chunk, copy] of copies) expectBytes('a chunk that was read before', chunk, copy)
  }),
  rule('fetch-apart', 'gives each of several readers a stream of its own', async (instance) => {
    const { plugin, repositories } = instance
    const samples = [1, 2, 3].map((seed) => sample(seed, { size: 150_000 + seed }))
    for (const one of samples) await storeSample(instance, one)
    const twice = [...samples, ...samples]
    const streams = await Promise.all(twice.map(({ layer }) => plugin.fetch(repositories[0], layer.descriptor)))
    const read = await Promise.all(streams.map((stream) => gather('fetch', stream)))
    for (const [index, { layer }] of twice.entries()) expectBytes(`reader ${index}`, read[index] as Uint8Array, layer.bytes)
    notStrictEqual(streams[0], streams[3], 'expected two readers of one blob to get two streams')
  }),
  rule('fetch-left', 'can be left in the middle of a stream', async (instance) => {
    const { plugin, repositories } = instance
    const one = sample(1, { size: 1_000_000 })
    await storeSample(instance, one, '1.0.0')
    for (let time = 0; time < 5; time++) {
      for await (const _ of await plugin.fetch(repositories[0], one.layer.descriptor)) break
    }
    expectBytes('a whole stream after all that', await fetched(plugin, repositories[0], one.layer.descriptor), one.layer.bytes)
  }),
]
