import {
  type CallOptions,
  checked,
  collect,
  type Descriptor,
  formatPlatform,
  formatReference,
  type ImageIndex,
  type ImageManifest,
  manifestKind,
  manifestLimitBytes,
  parseIndex,
  parseManifest,
  parseReference,
  type Registry,
} from '@reflash/core'
import { fail } from './cli-errors.ts'

/** What a reference names now, read and hashed here. */
export interface Artifact {
  readonly repository: string
  /** The reference by digest. */
  readonly pinned: string
  readonly root: Descriptor
  /** Exactly one of the two is there. */
  readonly index?: ImageIndex
  readonly manifest?: ImageManifest
}

type Source = Pick<Registry, 'resolve' | 'fetch'>

/**
 * Resolves a reference once and reads the manifest or index that it names.
 * @throws `INVALID_REFERENCE`, `NOT_FOUND`, `USAGE` (neither tag nor digest), `INVALID_MANIFEST`, `DIGEST_MISMATCH`, what the registry throws
 */
export async function readArtifact(registry: Source, reference: string, options: CallOptions): Promise<Artifact> {
  const { repository, tag, digest } = parseReference(reference)
  if (tag === undefined && digest === undefined) {
    throw fail('USAGE', `expected a tag or a digest, found none in ${reference}: write ${reference}:<tag>`)
  }
  const root = await registry.resolve(reference, options)
  const pinned = formatReference({ repository, digest: root.digest })
  const bytes = await readManifestBytes(registry, repository, root, options)
  if (manifestKind(root.mediaType) === 'index') return { repository, pinned, root, index: parseIndex(bytes, root.mediaType) }
  return { repository, pinned, root, manifest: parseManifest(bytes, root.mediaType) }
}

/** The bytes of a manifest or an index, checked against its descriptor. */
export async function readManifestBytes(
  registry: Source,
  repository: string,
  descriptor: Descriptor,
  options: CallOptions,
): Promise<Uint8Array> {
  return collect(checked(await registry.fetch(repository, descriptor, options), descriptor, options), manifestLimitBytes, 'a manifest')
}

/** The platforms of an index, in its order. */
export function platformsOf({ manifests }: ImageIndex): readonly string[] {
  return manifests.flatMap(({ platform }) => (platform === undefined ? [] : [formatPlatform(platform)]))
}
