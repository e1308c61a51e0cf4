import { annotations, checked, type Descriptor, type Digest, formatPlatform, isOtaError, parseManifest, type Registry } from '@reflash/core'
import { signatureTag } from '@reflash/registry-oci'
import { inspectLimitBytes } from '@reflash/target-esp32'
import { type Artifact, readArtifact, readManifestBytes } from '../artifact.ts'
import type { Cli } from '../cli.ts'
import { oneImage } from '../one-image.ts'
import { progressOn } from '../progress.ts'
import { imageLines } from './image-lines.ts'
import { type FileReport, inspectFile } from './inspect-file.ts'

/** Images of one index that are looked into; each is downloaded. More belong into a script that names platforms. */
const imageLimit = 32

export interface ReferenceReport {
  readonly reference: string
  readonly digest: Digest
  readonly mediaType: string
  readonly kind: 'index' | 'manifest'
  readonly artifactType?: string
  readonly annotations: Readonly<Record<string, string>>
  readonly platforms: readonly string[]
  /** Where signatures were found; whether they are any good is for `reflash verify` to say. */
  readonly signatures: readonly { readonly of: Digest; readonly reference: string; readonly count: number }[]
  readonly images: readonly FoundImage[]
}

export interface FoundImage {
  readonly platform?: string
  readonly manifest: Digest
  readonly annotations: Readonly<Record<string, string>>
  readonly layers: readonly { readonly mediaType: string; readonly digest: Digest; readonly size: number; readonly title?: string }[]
  /** Absent where there is not one file, or where it is larger than any flash. */
  readonly image?: FileReport
}

type Source = Pick<Registry, 'resolve' | 'fetch'>

/** @throws what `readArtifact` and `oneImage` throw */
export async function inspectReference(
  registry: Source,
  reference: string,
  platform: string | undefined,
  cli: Cli,
): Promise<ReferenceReport> {
  const artifact = await readArtifact(registry, reference, { signal: cli.signal })
  const { root, index, manifest } = artifact
  const manifests = await chosenManifests(registry, artifact, platform, cli)
  const images: FoundImage[] = []
  for (const descriptor of manifests) images.push(await inspectManifest(registry, artifact, descriptor, cli))
  const subjects = [root, ...manifests.filter(({ digest }) => digest !== root.digest)]
  const artifactType = (index ?? manifest)?.artifactType
  return {
    reference: artifact.pinned,
    digest: root.digest,
    mediaType: root.mediaType,
    kind: index === undefined ? 'manifest' : 'index',
    ...(artifactType === undefined ? {} : { artifactType }),
    annotations: (index ?? manifest)?.annotations ?? {},
    platforms: images.flatMap((image) => (image.platform === undefined ? [] : [image.platform])),
    signatures: (await Promise.all(subjects.map((subject) => signaturesOf(registry, artifact.repository, subject, cli)))).flat(),
    images,
  }
}

async function chosenManifests(
  registry: Source,
  artifact: Artifact,
  platform: string | undefined,
  { signal }: Cli,
): Promise<readonly Descriptor[]> {
  if (platform !== undefined) return [(await oneImage(registry, artifact, platform, { signal })).manifestDescriptor]
  return artifact.index === undefined ? [artifact.root] : artifact.index.manifests.slice(0, imageLimit)
}

async function inspectManifest(registry: Source, artifact: Artifact, descriptor: Descriptor, cli: Cli): Promise<FoundImage> {
  const { repository, root } = artifact
  const { signal } = cli
  const manifest =
    descriptor.digest === root.digest && artifact.manifest !== undefined
      ? artifact.manifest
      : parseManifest(await readManifestBytes(registry, repository, descriptor, { signal }), descriptor.mediaType)
  const [only, ...others] = manifest.layers
  const platform = descriptor.platform === undefined ? manifest.annotations[annotations.platform] : formatPlatform(descriptor.platform)
  const image =
    only === undefined || others.length > 0 || only.size > inspectLimitBytes
      ? undefined
      : await inspectLayer(registry, repository, only, cli)
  return {
    ...(platform === undefined ? {} : { platform }),
    manifest: descriptor.digest,
    annotations: manifest.annotations,
    layers: manifest.layers.map(({ mediaType, digest, size, annotations: own }) => {
      const title = own?.[annotations.title]
      return { mediaType, digest, size, ...(title === undefined ? {} : { title }) }
    }),
    ...(image === undefined ? {} : { image }),
  }
}

async function inspectLayer(registry: Source, repository: string, layer: Descriptor, { signal, stderr, now }: Cli): Promise<FileReport> {
  const progress = progressOn(stderr, 'reading')
  try {
    const bytes = await registry.fetch(repository, layer, { signal })
    const whole = checked(bytes, layer, { signal, onProgress: (done) => progress.update(done, layer.size) })
    return await inspectFile(whole, { signal, now: now() })
  } finally {
    progress.end()
  }
}

async function signaturesOf(
  registry: Source,
  repository: string,
  subject: Descriptor,
  { signal }: Cli,
): Promise<ReferenceReport['signatures']> {
  const tag = signatureTag(subject.digest)
  if (tag === undefined) return []
  try {
    const { root, manifest } = await readArtifact(registry, `${repository}:${tag}`, { signal })
    return [{ of: subject.digest, reference: `${repository}@${root.digest}`, count: manifest?.layers.length ?? 0 }]
  } catch (error) {
    if (isOtaError(error) && error.code === 'NOT_FOUND') return []
    throw error
  }
}

/** The same for people. */
export function referenceLines(found: ReferenceReport): readonly string[] {
  const annotationLines = Object.entries(found.annotations).map(([key, value]) => `  ${key}: ${value}`)
  return [
    found.reference,
    `  ${found.kind}, ${found.mediaType}`,
    ...annotationLines,
    ...(found.signatures.length === 0
      ? ['  no signatures found']
      : found.signatures.map(
          ({ of, count }) => `  ${count} ${count === 1 ? 'signature' : 'signatures'} of ${of} (reflash verify says whether they are good)`,
        )),
    ...found.images.flatMap((image) => [
      `${image.platform ?? 'image'}  ${image.manifest}`,
      ...image.layers.map(({ title, mediaType, digest, size }) => `  ${title ?? 'file'}: ${mediaType}, ${size} bytes, ${digest}`),
      ...(image.image === undefined ? [] : imageLines(image.image)),
    ]),
  ]
}
