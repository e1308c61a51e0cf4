import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import type { Descriptor } from '../../content/descriptor.ts'
import { listed } from '../content.ts'
import { refused } from '../refusal.ts'
import type { RegistryInstance, RegistryRule } from '../registry-suite.ts'
import { absent, notFound, rule, sample, store, storeSample } from './registry-rule.ts'

const tagging = { what: 'tags()', has: ({ plugin }: RegistryInstance) => plugin.tags !== undefined }
const referring = { what: 'referrers()', has: ({ plugin }: RegistryInstance) => plugin.referrers !== undefined }

/** More than docker-registry gives in one page. */
const manyTags = 101
const spellings = ['1.0.0', 'v1.0.0', '1.0.0-beta.1', '_x', 'A', 'a', '1.0.0_build', 'x'.repeat(128)]

async function tagsOf({ plugin }: RegistryInstance, repository: string): Promise<string[]> {
  return (await listed((plugin.tags as NonNullable<typeof plugin.tags>)(repository))).sort()
}

async function referrersOf({ plugin, repositories }: RegistryInstance, subject: Descriptor, artifactType?: string): Promise<Descriptor[]> {
  const referrers = plugin.referrers as NonNullable<typeof plugin.referrers>
  return listed(referrers(repositories[0], subject, artifactType === undefined ? {} : { artifactType }))
}

const digests = (descriptors: readonly Descriptor[]): readonly string[] => descriptors.map(({ digest }) => digest).sort()

/** Tags, and what refers to a manifest. */
export const registryListRules: readonly RegistryRule[] = [
  rule(
    'tags',
    'lists each tag of a repository once, and no other',
    async (instance) => {
      const [one, two] = [sample(1), sample(2)]
      await storeSample(instance, one)
      await storeSample(instance, two)
      const many = [...spellings, ...Array.from({ length: manyTags }, (_, index) => `2.${index}.0`)]
      const tags = many.map((tag, index) => [tag, (index % 2 === 0 ? one : two).manifest.descriptor] as const)
      await store(instance, instance.repositories[0], [], Object.fromEntries(tags))
      await storeSample(instance, sample(3), 'elsewhere', instance.repositories[1])
      deepStrictEqual(await tagsOf(instance, instance.repositories[0]), many.toSorted())
      deepStrictEqual(await tagsOf(instance, instance.repositories[1]), ['elsewhere'])
    },
    tagging,
  ),
  rule(
    'tags-now',
    'lists a tag as soon as it is there, once however often it moves',
    async (instance) => {
      for (const [index, tag] of ['1.0.0', '1.1.0', '1.0.0', '1.1.0'].entries()) {
        await storeSample(instance, sample(index + 1), tag)
        deepStrictEqual(await tagsOf(instance, instance.repositories[0]), index === 0 ? ['1.0.0'] : ['1.0.0', '1.1.0'])
      }
    },
    tagging,
  ),
  rule(
    'tags-missing',
    'says NOT_FOUND for the tags of a repository that does not exist',
    async (instance) => {
      await refused('tags', notFound, () => tagsOf(instance, instance.repositories[1]))
    },
    tagging,
  ),
  rule(
    'referrers',
    'lists the manifests that refer to a subject, each once with its type, and no other',
    async (instance) => {
      const [subject, other] = [sample(1), sample(2)]
      await storeSample(instance, subject, '1.0.0')
      await storeSample(instance, other, '2.0.0')
      const about = (seed: number, { manifest }: typeof subject, artifactType: string) =>
        sample(seed, { subject: manifest.descriptor, artifactType })
      const one = about(3, subject, 'application/vnd.example.signature')
      const two = about(4, subject, 'application/vnd.example.sbom')
      for (const referrer of [one, two, about(5, other, 'application/vnd.example.signature')]) await storeSample(instance, referrer)
      const found = await referrersOf(instance, subject.manifest.descriptor)
      deepStrictEqual(digests(found), digests([one.manifest.descriptor, two.manifest.descriptor]))
      for (const { digest, artifactType, mediaType, size } of found) {
        const { manifest } = digest === one.manifest.descriptor.digest ? one : two
        strictEqual(mediaType, manifest.descriptor.mediaType, 'mediaType')
        strictEqual(size, manifest.descriptor.size, 'size')
        strictEqual(
          artifactType,
          digest === one.manifest.descriptor.digest ? 'application/vnd.example.signature' : 'application/vnd.example.sbom',
        )
      }
    },
    referring,
  ),
  rule(
    'referrers-type',
    'lists only referrers of the type that was asked for',
    async (instance) => {
      const subject = sample(1)
      await storeSample(instance, subject, '1.0.0')
      const referrers = ['a', 'b', 'b'].map((type, index) =>
        sample(index + 2, { subject: subject.manifest.descriptor, artifactType: `application/vnd.example.${type}` }),
      )
      for (const referrer of referrers) await storeSample(instance, referrer)
      const { descriptor } = subject.manifest
      const of = async (type: string): Promise<number> =>
        (await referrersOf(instance, descriptor, `application/vnd.example.${type}`)).length
      deepStrictEqual([await of('a'), await of('b'), await of('c')], [1, 2, 0])
    },
    referring,
  ),
  rule(
    'referrers-none',
    'lists nothing for a manifest that nobody refers to, nor for one that does not exist',
    async (instance) => {
      const subject = sample(1)
      await storeSample(instance, subject, '1.0.0')
      deepStrictEqual(await referrersOf(instance, subject.manifest.descriptor), [])
      deepStrictEqual(await referrersOf(instance, absent(subject.manifest.descriptor)), [])
    },
    referring,
  ),
]
