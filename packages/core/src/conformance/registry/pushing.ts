import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Digest } from '../../content/digest.ts'
import { damaged, expectBytes, listed } from '../content.ts'
import { refused, survives } from '../refusal.ts'
import type { RegistryInstance, RegistryRule } from '../registry-suite.ts'
import { brokenSource, endlessSource, plainSource, type Source, slowSource } from '../sources.ts'
import { within } from '../within.ts'
import { absent, blobRefused, type contentOf, fetched, notFound, partsOf, pushed, rule, sample, storeSample } from './registry-rule.ts'

const pushing = {
  what: 'push() and tag()',
  has: ({ plugin }: RegistryInstance) => plugin.push !== undefined && plugin.tag !== undefined,
}

type Push = (instance: RegistryInstance, content: ReturnType<typeof contentOf>, source: Source) => Promise<void>
const push: Push = ({ plugin, repositories }, { descriptor }, source) =>
  (plugin.push as NonNullable<typeof plugin.push>)(repositories[0], descriptor, source.open)

type Tag = (instance: RegistryInstance, descriptor: Parameters<Push>[1]['descriptor'], reference: string) => Promise<void>
const tagged: Tag = ({ plugin }, descriptor, reference) => (plugin.tag as NonNullable<typeof plugin.tag>)(descriptor, reference)

/** Writing, and sources that lie. */
export const registryPushRules: readonly RegistryRule[] = [
  rule(
    'push-other-bytes',
    'refuses content that has another digest or size than its descriptor says, and keeps none of it',
    async (instance) => {
      const { plugin, repositories } = instance
      const { config, layer, manifest } = sample(1, { size: 70_000 })
      await pushed(plugin, repositories[0], config)
      for (const content of [layer, manifest]) {
        for (const wrong of damaged(content.bytes)) {
          const what = `${content.descriptor.mediaType} ${wrong.name}`
          await refused(what, { fault: 'rejected' }, () => push(instance, content, plainSource(wrong.bytes)))
          await refused(`fetch of what was refused (${what})`, notFound, () => fetched(plugin, repositories[0], content.descriptor))
        }
        await push(instance, content, plainSource(content.bytes))
        expectBytes('what was pushed after all', await fetched(plugin, repositories[0], content.descriptor), content.bytes)
      }
    },
    pushing,
  ),
  rule(
    'push-no-descriptor',
    'refuses what is no size and no digest',
    async (instance) => {
      const { layer } = sample(1)
      for (const size of [Number.NaN, -1, 0.5]) {
        const lie = { ...layer, descriptor: { ...layer.descriptor, size } }
        await refused(`size ${size}`, { fault: ['invalid', 'rejected'] }, () => push(instance, lie, plainSource(layer.bytes)))
      }
      for (const digest of ['', 'sha256:', 'sha256:../../../x', layer.descriptor.digest.toUpperCase()]) {
        const lie = { ...layer, descriptor: { ...layer.descriptor, digest: digest as Digest } }
        await refused(`digest ${digest}`, { fault: 'invalid' }, () => push(instance, lie, plainSource(layer.bytes)))
      }
    },
    pushing,
  ),
  rule(
    'push-broken-source',
    'keeps nothing of a source that breaks, and takes it whole the next time',
    async (instance) => {
      const { plugin, repositories } = instance
      const { layer } = sample(1, { size: 10_000 })
      for (const part of [0, 1, 9_999]) {
        const source = brokenSource(layer.bytes.subarray(0, part), new Error('the connection broke'))
        const outcome = await push(instance, layer, source).then(
          () => 'stored',
          () => 'refused',
        )
        strictEqual(outcome, 'refused', `a source that broke after ${part} bytes`)
        await refused('fetch of what broke', notFound, () => fetched(plugin, repositories[0], layer.descriptor))
      }
      await push(instance, layer, plainSource(layer.bytes))
      expectBytes('what was pushed after all', await fetched(plugin, repositories[0], layer.descriptor), layer.bytes)
    },
    pushing,
  ),
  rule(
    'push-endless',
    'ends with a source that does not end',
    async (instance, { stepMs }) => {
      const { layer } = sample(1, { size: 100_000 })
      const call = refused('an endless source', { fault: 'rejected' }, () => push(instance, layer, endlessSource()))
      await within(stepMs, 'push of an endless source', call)
    },
    pushing,
  ),
  rule(
    'push-slow',
    'waits for a source that gives little at a time, and at times nothing',
    async (instance, { stepMs }) => {
      const { plugin, repositories } = instance
      const { layer } = sample(1, { size: 600 })
      await within(stepMs, 'push', push(instance, layer, slowSource(layer.bytes, 7)))
      expectBytes('what was pushed slowly', await fetched(plugin, repositories[0], layer.descriptor), layer.bytes)
    },
    pushing,
  ),
  rule(
    'push-twice',
    'takes the same content again, one after the other and at the same time',
    async (instance) => {
      const { plugin, repositories } = instance
      const one = sample(1, { size: 70_000 })
      await storeSample(instance, one, '1.0.0')
      await storeSample(instance, one, '1.0.0')
      const { layer } = sample(2, { size: 70_000 })
      await Promise.all([1, 2, 3].map(() => push(instance, layer, plainSource(layer.bytes))))
      for (const { descriptor, bytes } of [...partsOf(one), layer]) {
        expectBytes(descriptor.mediaType, await fetched(plugin, repositories[0], descriptor), bytes)
      }
    },
    pushing,
  ),
  rule(
    'push-several',
    'keeps what several writers push and tag at the same time',
    async (instance) => {
      const { plugin, repositories } = instance
      const samples = Array.from({ length: 6 }, (_, index) => sample(index + 1, { size: 5_000 + index }))
      await Promise.all(samples.map((one, index) => storeSample(instance, one, `1.${index}.0`)))
      for (const [index, one] of samples.entries()) {
        const { digest } = await plugin.resolve(`${repositories[0]}:1.${index}.0`)
        strictEqual(digest, one.manifest.descriptor.digest, `tag 1.${index}.0`)
        expectBytes(`layer ${index}`, await fetched(plugin, repositories[0], one.layer.descriptor), one.layer.bytes)
      }
      if (plugin.tags !== undefined) strictEqual((await listed(plugin.tags(repositories[0]))).length, 6, 'expected every tag')
    },
    pushing,
  ),
  rule(
    'push-order',
    'takes a manifest before its parts, or refuses it and keeps nothing of it; once all is there it is whole',
    async (instance) => {
      const { plugin, repositories } = instance
      const one = sample(1)
      const reference = `${repositories[0]}@${one.manifest.descriptor.digest}`
      const early = await survives('a manifest before its parts', { fault: 'invalid' }, async () => {
        await pushed(plugin, repositories[0], one.manifest)
        return 'taken'
      })
      if (early === undefined) await refused('resolve of what was refused', notFound, () => plugin.resolve(reference))
      await storeSample(instance, one, '1.0.0')
      strictEqual((await plugin.resolve(reference)).digest, one.manifest.descriptor.digest)
      for (const { descriptor, bytes } of partsOf(one)) {
        expectBytes(descriptor.mediaType, await fetched(plugin, repositories[0], descriptor), bytes)
      }
    },
    pushing,
  ),
  rule(
    'tag-missing',
    'tags nothing that the repository does not hold, and keeps the tag where it was',
    async (instance) => {
      const { plugin, repositories } = instance
      const one = sample(1)
      await storeSample(instance, one, '1.0.0')
      const call = () => tagged(instance, absent(one.manifest.descriptor), `${repositories[0]}:1.0.0`)
      await refused('a tag for a manifest that is not there', notFound, call)
      strictEqual((await plugin.resolve(`${repositories[0]}:1.0.0`)).digest, one.manifest.descriptor.digest)
      await refused('a tag for a blob', blobRefused, () => tagged(instance, one.layer.descriptor, `${repositories[0]}:blob`))
      await refused('resolve of that tag', notFound, () => plugin.resolve(`${repositories[0]}:blob`))
    },
    pushing,
  ),
  rule(
    'tag-hostile',
    'refuses to write what is no tag',
    async (instance) => {
      const { plugin, repositories } = instance
      const one = sample(1)
      await storeSample(instance, one, '1.0.0')
      for (const tag of ['', ' ', '../x', '-a', 'ä', 'a b', 'a\n', 'x'.repeat(129)]) {
        const call = () => tagged(instance, one.manifest.descriptor, `${repositories[0]}:${tag}`)
        await refused(`tag ${JSON.stringify(tag).slice(0, 40)}`, { fault: 'invalid' }, call)
      }
      await refused('no tag', { fault: 'invalid' }, () => tagged(instance, one.manifest.descriptor, repositories[0]))
      if (plugin.tags !== undefined) deepStrictEqual(await listed(plugin.tags(repositories[0])), ['1.0.0'])
    },
    pushing,
  ),
  rule(
    'isolated',
    'shares nothing with another registry, and its repositories share nothing that can be seen',
    async (instance, { make }) => {
      const { plugin, repositories } = instance
      const other = await make()
      const one = sample(1)
      await storeSample(instance, one, '1.0.0')
      ok(!other.repositories.includes(repositories[0]) || other.plugin !== plugin, 'expected a plugin or repositories of its own')
      await refused('resolve in another registry', notFound, () => other.plugin.resolve(`${other.repositories[0]}:1.0.0`))
      await refused('resolve in another repository', notFound, () => plugin.resolve(`${repositories[1]}:1.0.0`))
      const { digest } = one.manifest.descriptor
      await refused('a digest in another repository', notFound, () => plugin.resolve(`${repositories[1]}@${digest}`))
    },
  ),
]
