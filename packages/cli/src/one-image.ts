import {
  annotations,
  type CallOptions,
  choosePlatform,
  type Descriptor,
  formatPlatform,
  type ImageManifest,
  type Platform,
  parseManifest,
  parsePlatform,
  type Registry,
  samePlatform,
} from '@reflash/core'
import { type Artifact, platformsOf, readManifestBytes } from './artifact.ts'
import { fail } from './cli-errors.ts'

/** The image of an artifact that was asked for. */
export interface OneImage {
  readonly manifestDescriptor: Descriptor
  readonly manifest: ImageManifest
  readonly image: Descriptor
  readonly platform?: Platform
}

/**
 * Picks the one image of an artifact, never "the first of several".
 * @throws `PLATFORM_NEEDED`, `PLATFORM_NOT_FOUND`, `PLATFORM_AMBIGUOUS`, `PLATFORM_MISMATCH`, `INVALID_PLATFORM`, `NOT_ONE_IMAGE`
 */
export async function oneImage(
  registry: Pick<Registry, 'fetch' | 'resolve'>,
  artifact: Artifact,
  platform: string | undefined,
  options: CallOptions,
): Promise<OneImage> {
  const { repository, root, pinned } = artifact
  const wanted = platform === undefined ? undefined : parsePlatform(platform)
  const manifestDescriptor = artifact.index === undefined ? root : chosen(artifact, wanted)
  const manifest =
    artifact.manifest ??
    parseManifest(await readManifestBytes(registry, repository, manifestDescriptor, options), manifestDescriptor.mediaType)
  const own = ownPlatform(manifestDescriptor, manifest)
  if (artifact.index === undefined && wanted !== undefined && own !== undefined && !samePlatform(own, wanted)) {
    throw fail('PLATFORM_MISMATCH', `${pinned}: expected an image for ${formatPlatform(wanted)}, found one for ${formatPlatform(own)}`)
  }
  const [image, ...others] = manifest.layers
  if (image === undefined || others.length > 0) {
    throw fail('NOT_ONE_IMAGE', `${pinned}: expected one image, found ${manifest.layers.length} files`)
  }
  return { manifestDescriptor, manifest, image, ...(own === undefined ? {} : { platform: own }) }
}

function chosen({ index, pinned }: Artifact, wanted: Platform | undefined): Descriptor {
  const manifests = index?.manifests ?? []
  if (wanted === undefined && manifests.length > 1) {
    const candidates = index === undefined ? [] : platformsOf(index)
    throw fail(
      'PLATFORM_NEEDED',
      `${pinned}: expected --platform to choose among ${manifests.length} images, found none; candidates: ${candidates.join(', ')}`,
    )
  }
  return choosePlatform({ manifests }, wanted === undefined ? [] : [wanted])
}

function ownPlatform({ platform }: Descriptor, manifest: ImageManifest): Platform | undefined {
  const stated = manifest.annotations[annotations.platform]
  if (platform !== undefined || stated === undefined) return platform
  try {
    return parsePlatform(stated)
  } catch {
    return undefined
  }
}
