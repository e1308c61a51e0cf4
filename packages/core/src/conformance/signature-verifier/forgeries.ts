import { notStrictEqual, strictEqual } from 'node:assert/strict'
import type { Descriptor } from '../../content/descriptor.ts'
import type { Digest } from '../../content/digest.ts'
import { damaged, gather } from '../content.ts'
import type { SignatureRule, SignatureVerifierInstance } from '../signature-verifier-suite.ts'
import { type From, fromOf, judged, rule, type Shelf, shelf, subjectOf } from './signature-rule.ts'

/** A registry that answers for one artifact with whatever belongs to another. */
function swapped(from: From, { digest: asked }: Descriptor, other: Descriptor): From {
  const hex = (digest: Digest): string => digest.slice(7)
  const swap = (text: string): string => text.replaceAll(hex(asked), hex(other.digest))
  const { referrers } = from
  return {
    fetch: from.fetch,
    resolve: (reference, options) => from.resolve(swap(reference), options),
    ...(referrers === undefined
      ? {}
      : {
          referrers: (repository, subject, options) =>
            referrers(repository, subject.digest === asked ? { ...subject, digest: other.digest } : subject, options),
        }),
  }
}

/** What a verifier reads on its way to a good answer, each once. */
async function readBy({ plugin }: SignatureVerifierInstance, { registry }: Shelf, subject: Descriptor): Promise<readonly Descriptor[]> {
  const read = new Map<Digest, Descriptor>()
  const from = fromOf(registry)
  const watching: From = {
    ...from,
    fetch: (repository, descriptor, options) => {
      read.set(descriptor.digest, descriptor)
      return from.fetch(repository, descriptor, options)
    },
  }
  strictEqual((await judged(plugin, subjectOf(subject), watching)).is, 'passed', 'expected the signed artifact to pass')
  return [...read.values()]
}

/** Artifacts that must be refused. */
export const forgeryRules: readonly SignatureRule[] = [
  rule('unsigned', 'refuses an artifact that nobody has signed', async ({ plugin }) => {
    const { registry, first, index } = shelf()
    strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'failed', 'an artifact')
    strictEqual((await judged(plugin, subjectOf(index, first), fromOf(registry))).is, 'failed', 'a child of an index')
  }),
  rule('other-key', 'refuses an artifact that was signed with a key it does not trust', async ({ plugin, sign }, { make }) => {
    const stranger = await make()
    const { registry, repository, first } = shelf()
    await stranger.sign(registry, repository, first)
    strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'failed', 'signed by a stranger')
    strictEqual((await judged(stranger.plugin, subjectOf(first), fromOf(registry))).is, 'passed', 'as the stranger sees it')
    await sign(registry, repository, first)
    strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'passed', 'signed by both')
    strictEqual((await judged(stranger.plugin, subjectOf(first), fromOf(registry))).is, 'passed', 'signed by both, as the stranger sees it')
  }),
  rule('any-order', 'finds its signature among others, in whatever order and however often they are listed', async (instance, { make }) => {
    const { plugin, sign } = instance
    const { registry, repository, first, second } = shelf()
    const strangers = [await make(), await make()] as const
    await strangers[0].sign(registry, repository, first)
    await sign(registry, repository, first)
    await strangers[1].sign(registry, repository, first)
    await strangers[0].sign(registry, repository, second)
    const honest = fromOf(registry)
    for (const order of [(list: Descriptor[]) => list, (list: Descriptor[]) => list.reverse()]) {
      const from: typeof honest = {
        ...honest,
        async *referrers(name, subject, options) {
          const list: Descriptor[] = []
          for await (const one of honest.referrers?.(name, subject, options) ?? []) list.push(one)
          for (const one of order(list)) yield* [one, one]
        },
      }
      strictEqual((await judged(plugin, subjectOf(first), from)).is, 'passed', 'signed by three')
      strictEqual((await judged(plugin, subjectOf(second), from)).is, 'failed', 'signed by a stranger')
    }
  }),
  rule('other-artifact', 'refuses a good signature of another artifact', async ({ plugin, sign }) => {
    const { registry, repository, first, second } = shelf()
    await sign(registry, repository, first)
    const from = swapped(fromOf(registry), second, first)
    strictEqual((await judged(plugin, subjectOf(second), from)).is, 'failed', 'expected that what is signed must be what was asked about')
  }),
  rule('other-child', 'refuses the child of an index whose signature belongs to another index', async ({ plugin, sign }) => {
    const { registry, repository, first, index } = shelf()
    await sign(registry, repository, index)
    const other = registry.addIndex(repository, { manifests: [first] })
    const from = swapped(fromOf(registry), other, index)
    strictEqual((await judged(plugin, subjectOf(other, first), from)).is, 'failed')
  }),
  rule('damaged', 'does not pass an artifact of whose signature a part was damaged', async (instance) => {
    const scene = shelf()
    const { registry, repository, first } = scene
    await instance.sign(registry, repository, first)
    for (const descriptor of await readBy(instance, scene, first)) {
      const bytes = await gather('content', await registry.fetch(repository, descriptor))
      for (const wrong of damaged(bytes)) {
        registry.replace(repository, descriptor.digest, wrong.bytes)
        const { is } = await judged(instance.plugin, subjectOf(first), fromOf(registry))
        notStrictEqual(is, 'passed', `${descriptor.mediaType} ${wrong.name}: expected that it does not pass`)
      }
      registry.replace(repository, descriptor.digest, bytes)
    }
    strictEqual((await judged(instance.plugin, subjectOf(first), fromOf(registry))).is, 'passed', 'whole again')
  }),
  rule(
    'lying-descriptors',
    'believes no descriptor of the registry: not its size, not its type, not its digest',
    async ({ plugin, sign }) => {
      const { registry, repository, first } = shelf()
      await sign(registry, repository, first)
      const from = fromOf(registry)
      const lies: readonly Partial<Descriptor>[] = [
        { size: Number.MAX_SAFE_INTEGER },
        { size: -1 },
        { size: 0 },
        { digest: 'sha256:' },
        { digest: first.digest, size: first.size },
      ]
      for (const lie of lies) {
        const lying: From = {
          ...from,
          resolve: async (reference, options) => ({ ...(await from.resolve(reference, options)), ...lie }),
          referrers: async function* (name, subject, options) {
            for await (const one of from.referrers?.(name, subject, options) ?? []) yield { ...one, ...lie }
          },
        }
        notStrictEqual(
          (await judged(plugin, subjectOf(first), lying)).is,
          'passed',
          `${JSON.stringify(lie)}: expected that it does not pass`,
        )
      }
    },
  ),
  rule(
    'forgeries',
    "refuses what its author's own attacker writes",
    async ({ plugin, forgeries = [] }) => {
      for (const { name, forge } of forgeries) {
        const { registry, repository, first } = shelf()
        await forge(registry, repository, first)
        strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'failed', name)
      }
    },
    {
      what: 'forgeries',
      missing: 'make() gives no forgeries in the format of the plugin',
      has: ({ forgeries }: SignatureVerifierInstance) => forgeries !== undefined && forgeries.length > 0,
    },
  ),
]
