import { strictEqual } from 'node:assert/strict'
import type { Descriptor } from '../../content/descriptor.ts'
import { refused } from '../refusal.ts'
import type { RegistryRule } from '../registry-suite.ts'
import { absent, blobRefused, notFound, rule, sample, sampleIndex, store, storeSample } from './registry-rule.ts'

function same(what: string, found: Descriptor, { mediaType, digest, size }: Descriptor): void {
  strictEqual(found?.digest, digest, `${what}: digest`)
  strictEqual(found.mediaType, mediaType, `${what}: mediaType`)
  strictEqual(found.size, size, `${what}: size`)
}

/** What a tag or a digest points at. */
export const registryResolveRules: readonly RegistryRule[] = [
  rule('resolve-tag', 'resolves a tag to the type, digest and size of its manifest', async (instance) => {
    const { plugin, repositories } = instance
    const [one, two] = [sample(1), sample(2)]
    await storeSample(instance, one, '1.0.0')
    await storeSample(instance, two, '2.0.0')
    same('1.0.0', await plugin.resolve(`${repositories[0]}:1.0.0`), one.manifest.descriptor)
    same('2.0.0', await plugin.resolve(`${repositories[0]}:2.0.0`), two.manifest.descriptor)
  }),
  rule('resolve-digest', 'resolves a digest to the manifest that has it', async (instance) => {
    const { plugin, repositories } = instance
    const one = sample(1)
    await storeSample(instance, one, '1.0.0')
    const { descriptor } = one.manifest
    same('a digest', await plugin.resolve(`${repositories[0]}@${descriptor.digest}`), descriptor)
  }),
  rule('resolve-index', 'resolves an index, and each manifest in it', async (instance) => {
    const { plugin, repositories } = instance
    const [one, two] = [sample(1), sample(2)]
    const index = sampleIndex([one.manifest.descriptor, two.manifest.descriptor])
    await storeSample(instance, one)
    await storeSample(instance, two)
    await store(instance, repositories[0], [index], { '3.0.0': index.descriptor })
    same('the index', await plugin.resolve(`${repositories[0]}:3.0.0`), index.descriptor)
    for (const { manifest } of [one, two]) {
      same('a child', await plugin.resolve(`${repositories[0]}@${manifest.descriptor.digest}`), manifest.descriptor)
    }
  }),
  rule('resolve-both', 'takes the digest where a reference has a tag too', async (instance) => {
    const { plugin, repositories } = instance
    const [one, two] = [sample(1), sample(2)]
    await storeSample(instance, one, 'moved')
    await storeSample(instance, two, 'other')
    const { descriptor } = two.manifest
    same('a tag and a digest', await plugin.resolve(`${repositories[0]}:moved@${descriptor.digest}`), descriptor)
  }),
  rule('resolve-now', 'sees at once where a tag points now', async (instance) => {
    const { plugin, repositories } = instance
    for (let seed = 1; seed <= 3; seed++) {
      const one = sample(seed)
      await storeSample(instance, one, 'newest')
      same(`the tag after ${seed} moves`, await plugin.resolve(`${repositories[0]}:newest`), one.manifest.descriptor)
    }
  }),
  rule('resolve-missing', 'says NOT_FOUND for a repository, a tag and a digest that do not exist', async (instance) => {
    const { plugin, repositories } = instance
    const one = sample(1)
    await storeSample(instance, one, '1.0.0')
    const { digest } = absent(one.manifest.descriptor)
    await refused('a repository that does not exist', notFound, () => plugin.resolve(`${repositories[1]}:1.0.0`))
    await refused('a tag that does not exist', notFound, () => plugin.resolve(`${repositories[0]}:1.0.1`))
    await refused('a tag in other letters', notFound, () => plugin.resolve(`${repositories[0]}:1.0.0-RC`))
    await refused('a digest that does not exist', notFound, () => plugin.resolve(`${repositories[0]}@${digest}`))
  }),
  rule('resolve-blob', 'does not resolve the digest of a blob: only manifests can be named', async (instance) => {
    const { plugin, repositories } = instance
    const one = sample(1)
    await storeSample(instance, one, '1.0.0')
    await refused('the digest of a layer', blobRefused, () => plugin.resolve(`${repositories[0]}@${one.layer.descriptor.digest}`))
  }),
  rule('resolve-nothing', 'assumes no tag where a reference has neither tag nor digest', async (instance) => {
    const { plugin, repositories } = instance
    await storeSample(instance, sample(1), 'latest')
    await refused('a repository alone', { fault: 'invalid' }, () => plugin.resolve(repositories[0]))
  }),
  rule('resolve-hostile', 'refuses what is no reference', async (instance) => {
    const { plugin, repositories } = instance
    await storeSample(instance, sample(1), '1.0.0')
    const tags = ['', ' ', 'a b', '../1.0.0', '-a', '.a', 'ä', `1.0.0\n`, '1.0.0\u0000', 'x'.repeat(129), '1.0.0?x=1', '1.0.0#x', '%2e%2e']
    const references = [
      ...tags.map((tag) => `${repositories[0]}:${tag}`),
      `${repositories[0]}@sha256:00`,
      `${repositories[0]}@`,
      '',
      ':1.0.0',
      '/',
      '@',
      'x'.repeat(5_000),
    ]
    for (const reference of references) {
      await refused(JSON.stringify(reference).slice(0, 80), { fault: 'invalid' }, () => plugin.resolve(reference))
    }
  }),
]
