import type { Descriptor } from '../../content/descriptor.ts'
import type { Digest } from '../../content/digest.ts'
import { mediaTypes } from '../../content/media-types.ts'
import type { Registry } from '../../plugin/registry.ts'
import { descriptorOf, gather, sampleBytes } from '../content.ts'
import type { RegistryContent, RegistryInstance } from '../registry-suite.ts'
import { plainSource } from '../sources.ts'
import { rulesOf } from '../suite.ts'

export const rule = rulesOf<RegistryInstance>('registry')

export const notFound = { fault: 'invalid', code: 'NOT_FOUND' } as const

/** What is said where a manifest is asked for by the digest of a blob: docker-registry 2.8 answers 500, which a client cannot tell from an outage. */
export const blobRefused = { fault: ['invalid', 'unavailable'] } as const

/** An artifact of one layer. */
export interface Sample {
  readonly config: RegistryContent
  readonly layer: RegistryContent
  readonly manifest: RegistryContent
}

export interface SampleOptions {
  /** Bytes of the layer. */
  readonly size?: number
  readonly subject?: Descriptor
  readonly artifactType?: string
}

/** Makes an artifact that no other call with another seed makes. */
export function sample(
  seed: number,
  { size = 1_000, subject, artifactType = 'application/vnd.example.image' }: SampleOptions = {},
): Sample {
  const config = contentOf(new TextEncoder().encode('{}'), mediaTypes.empty)
  const layer = contentOf(sampleBytes(size, seed))
  const manifest = contentOf(
    jsonBytes({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      artifactType,
      config: config.descriptor,
      layers: [layer.descriptor],
      ...(subject === undefined ? {} : { subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size } }),
      annotations: { seed: String(seed) },
    }),
    mediaTypes.manifest,
  )
  return { config, layer, manifest }
}

export function sampleIndex(manifests: readonly Descriptor[]): RegistryContent {
  return contentOf(jsonBytes({ schemaVersion: 2, mediaType: mediaTypes.index, manifests }), mediaTypes.index)
}

export function contentOf(bytes: Uint8Array, mediaType?: string): RegistryContent {
  return { bytes, descriptor: descriptorOf(bytes, mediaType) }
}

function jsonBytes(document: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(document))
}

export const partsOf = ({ config, layer, manifest }: Sample): readonly RegistryContent[] => [config, layer, manifest]

/** Brings content into a repository, by the plugin itself where it can. */
export async function store(
  { plugin, fill }: RegistryInstance,
  repository: string,
  contents: readonly RegistryContent[],
  tags: Readonly<Record<string, Descriptor>> = {},
): Promise<void> {
  const { push, tag } = plugin
  if (push === undefined || tag === undefined) {
    if (fill === undefined) throw new Error('expected a plugin with push() and tag(), or fill() beside it, found neither')
    return fill(repository, contents, tags)
  }
  for (const content of contents) await pushed(plugin, repository, content)
  for (const [name, descriptor] of Object.entries(tags)) await plugin.tag?.(descriptor, `${repository}:${name}`)
}

export async function pushed(plugin: Registry, repository: string, { descriptor, bytes }: RegistryContent): Promise<void> {
  await plugin.push?.(repository, descriptor, plainSource(bytes).open)
}

/** Stores an artifact, tagged where a tag is given. */
export async function storeSample(
  instance: RegistryInstance,
  one: Sample,
  tag?: string,
  repository = instance.repositories[0],
): Promise<void> {
  await store(instance, repository, partsOf(one), tag === undefined ? {} : { [tag]: one.manifest.descriptor })
}

export async function fetched(plugin: Registry, repository: string, descriptor: Descriptor, offset?: number): Promise<Uint8Array> {
  const stream = await plugin.fetch(repository, descriptor, offset === undefined ? {} : { offset })
  return gather('fetch', stream)
}

/** A descriptor of the same kind that nothing has. */
export function absent(descriptor: Descriptor): Descriptor {
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}` as Digest
  return { ...descriptor, digest }
}
