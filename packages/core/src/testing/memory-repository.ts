import type { Descriptor, Platform } from '../content/descriptor.ts'
import { type Digest, digestOf } from '../content/digest.ts'
import { type ImageIndex, type ImageManifest, manifestKind, parseIndex, parseManifest } from '../content/manifest.ts'
import { firmwareArtifactType, annotations as keys, mediaTypes } from '../content/media-types.ts'
import { formatPlatform } from '../content/platform.ts'
import { isOtaError } from '../errors.ts'

/** One layer of an artifact in memory. */
export interface MemoryLayer {
  readonly content: Uint8Array
  readonly mediaType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** An artifact to put into a memory registry: what `reflash push` makes, unless a field says otherwise. */
export interface MemoryArtifact {
  /** One layer of these bytes, or layers one by one. */
  readonly content: Uint8Array | readonly MemoryLayer[]
  readonly tag?: string
  readonly artifactType?: string
  /** Become annotations of the manifest; `platform` also stands in the returned descriptor, ready for `addIndex`. */
  readonly version?: string
  readonly product?: string
  readonly platform?: Platform
  readonly annotations?: Readonly<Record<string, string>>
  readonly config?: MemoryLayer
  readonly subject?: Descriptor
}

/** An index to put into a memory registry. */
export interface MemoryIndex {
  readonly manifests: readonly Descriptor[]
  readonly tag?: string
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly subject?: Descriptor
}

/** What was put in, by digest. */
export interface AddedArtifact {
  readonly manifest: Descriptor
  readonly layers: readonly Descriptor[]
}

/** Bytes as they are served, which a test may have spoiled, and the media type they were pushed under. */
export interface StoredContent {
  readonly mediaType: string
  readonly bytes: Uint8Array
}

export interface MemoryRepository {
  readonly contents: Map<Digest, StoredContent>
  readonly tags: Map<string, Digest>
}

export function addArtifact(repository: MemoryRepository, artifact: MemoryArtifact): AddedArtifact {
  const { content, tag, version, product, platform, subject, config, artifactType = firmwareArtifactType } = artifact
  const layers = content instanceof Uint8Array ? [{ content }] : content
  const stored = layers.map((layer) => addLayer(repository, layer))
  const annotations = {
    ...(version === undefined ? {} : { [keys.version]: version }),
    ...(product === undefined ? {} : { [keys.product]: product }),
    ...(platform === undefined ? {} : { [keys.platform]: formatPlatform(platform) }),
    ...artifact.annotations,
  }
  const manifest = putJson(repository, mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType,
    config: addLayer(repository, config ?? { content: new TextEncoder().encode('{}'), mediaType: mediaTypes.empty }),
    layers: stored,
    ...(subject === undefined ? {} : { subject }),
    annotations,
  })
  if (tag !== undefined) repository.tags.set(tag, manifest.digest)
  return { manifest: { ...manifest, artifactType, ...(platform === undefined ? {} : { platform }) }, layers: stored }
}

function addLayer(repository: MemoryRepository, { content, mediaType = 'application/octet-stream', annotations }: MemoryLayer): Descriptor {
  return { ...addContent(repository, mediaType, content), ...(annotations === undefined ? {} : { annotations }) }
}

export function addIndex(repository: MemoryRepository, { manifests, tag, ...rest }: MemoryIndex): Descriptor {
  const index = putJson(repository, mediaTypes.index, { schemaVersion: 2, mediaType: mediaTypes.index, manifests, ...rest })
  if (tag !== undefined) repository.tags.set(tag, index.digest)
  return index
}

export function addContent({ contents }: MemoryRepository, mediaType: string, bytes: Uint8Array): Descriptor {
  const digest = digestOf(bytes)
  contents.set(digest, { mediaType, bytes })
  return { mediaType, digest, size: bytes.length }
}

function putJson(repository: MemoryRepository, mediaType: string, document: object): Descriptor {
  return addContent(repository, mediaType, new TextEncoder().encode(JSON.stringify(document)))
}

/** What a manifest needs beside it; its subject may be missing. OCI distribution spec, pushing manifests. */
export function partsOf(mediaType: string, bytes: Uint8Array): readonly Descriptor[] {
  const kind = manifestKind(mediaType)
  if (kind === 'index') return parseIndex(bytes, mediaType).manifests
  if (kind === undefined) return []
  const { config, layers } = parseManifest(bytes, mediaType)
  return [config, ...layers]
}

/** OCI distribution spec, listing referrers: the type of a manifest without `artifactType` is that of its config. */
export function* referrersOf(repository: MemoryRepository | undefined, subject: Digest): Generator<Descriptor> {
  for (const [digest, content] of repository?.contents ?? []) {
    const manifest = readable(content)
    if (manifest?.subject?.digest !== subject) continue
    const artifactType = manifest.artifactType ?? ('config' in manifest ? manifest.config.mediaType : undefined)
    yield {
      mediaType: content.mediaType,
      digest,
      size: content.bytes.length,
      ...(artifactType === undefined ? {} : { artifactType }),
      annotations: manifest.annotations,
    }
  }
}

// What a test put in broken refers to nothing.
function readable({ mediaType, bytes }: StoredContent): ImageManifest | ImageIndex | undefined {
  const kind = manifestKind(mediaType)
  if (kind === undefined) return undefined
  try {
    return kind === 'index' ? parseIndex(bytes, mediaType) : parseManifest(bytes, mediaType)
  } catch (error) {
    if (isOtaError(error)) return undefined
    throw error
  }
}
