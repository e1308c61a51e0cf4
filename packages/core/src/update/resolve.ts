import { choosePlatform } from '../content/choose-platform.ts'
import type { Descriptor, Platform } from '../content/descriptor.ts'
import { type ImageManifest, parseIndex, parseManifest } from '../content/manifest.ts'
import { annotations, manifestLimitBytes, mediaTypes } from '../content/media-types.ts'
import { formatReference, parseReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { smallContent } from './held-content.ts'
import { prove } from './proof.ts'
import type { PinnedImage, ReleaseDeps, Resolved } from './release-line.ts'

/**
 * Pins a reference, the manifest for the first of `platforms` that the artifact has, and its image, all by digest.
 * @throws `INVALID_REFERENCE`, `INVALID_MANIFEST`, `PLATFORM_NOT_FOUND`, `PLATFORM_AMBIGUOUS`, `COMPONENTS_UNSUPPORTED`, `DIGEST_MISMATCH`,
 * and what the registry throws
 */
export async function resolve(
  reference: string,
  platforms: readonly Platform[],
  deps: ReleaseDeps,
  context: RunContext,
): Promise<Resolved> {
  const { repository, tag, digest } = parseReference(reference)
  const root = await deps.registry.resolve(reference, { signal: context.signal })
  if (digest !== undefined && root.digest !== digest) {
    throw fail('DIGEST_MISMATCH', `expected the registry to resolve ${reference} to itself, found ${root.digest}`, { stage: 'resolve' })
  }
  if (!Number.isSafeInteger(root.size) || root.size < 0 || root.size > manifestLimitBytes) {
    throw fail('TOO_LARGE', `${reference}: expected a manifest of at most ${manifestLimitBytes} bytes, found ${root.size}`, {
      stage: 'resolve',
    })
  }
  const bytes = await smallContent(repository, root, deps, context)
  const index = isIndex(root) ? parseIndex(bytes, root.mediaType) : undefined
  const manifest = index === undefined ? root : choosePlatform(index, platforms)
  const parsed = parseManifest(index === undefined ? bytes : await smallContent(repository, manifest, deps, context), manifest.mediaType)
  return prove('resolve', {
    repository,
    reference: formatReference({ repository, digest: root.digest }),
    ...(tag === undefined ? {} : { tag }),
    root,
    manifest,
    ...(manifest.platform === undefined ? {} : { platform: manifest.platform }),
    rootAnnotations: index?.annotations ?? parsed.annotations,
    manifestAnnotations: parsed.annotations,
    images: imagesOf(parsed, reference),
  })
}

function isIndex({ mediaType }: Descriptor): boolean {
  return mediaType === mediaTypes.index || mediaType === mediaTypes.dockerIndex
}

function imagesOf({ layers }: ImageManifest, reference: string): readonly [PinnedImage] {
  const [only, ...others] = layers
  if (only === undefined) throw fail('INVALID_MANIFEST', `${reference}: expected one layer, the image; found none`, { stage: 'resolve' })
  if (others.length > 0) {
    const titles = layers.map((layer) => layer.annotations?.[annotations.title] ?? layer.digest)
    throw fail(
      'COMPONENTS_UNSUPPORTED',
      `${reference}: expected one layer, the image; found ${layers.length}: ${titles.slice(0, 16).join(', ')}`,
      {
        stage: 'resolve',
      },
    )
  }
  return [{ component: 'image', descriptor: only }]
}
