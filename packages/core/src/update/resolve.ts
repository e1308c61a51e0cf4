import { choosePlatform } from '../content/choose-platform.ts'
import type { Platform } from '../content/descriptor.ts'
import { type ImageManifest, manifestKind, parseDescriptor, parseIndex, parseManifest } from '../content/manifest.ts'
import { annotations } from '../content/media-types.ts'
import { formatReference, parseReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { smallContent } from './held-content.ts'
import { prove } from './proof.ts'
import { quoted } from './quoted.ts'
import type { PinnedImage, ReleaseDeps, Resolved } from './release-line.ts'

/**
 * Pins a reference, the manifest for the first of `platforms` that the artifact has, and its image, all by digest.
 * OCI image spec, manifest.md and image-index.md.
 * @throws `INVALID_REFERENCE`, `INVALID_DESCRIPTOR`, `INVALID_MANIFEST`, `MANIFEST_TOO_LARGE`, `PLATFORM_NOT_FOUND`, `PLATFORM_AMBIGUOUS`
 * (invalid), `COMPONENTS_UNSUPPORTED` (unsupported), `DIGEST_MISMATCH`, `TRUNCATED`, `TRAILING_BYTES` (rejected), and what registry and cache
 * throw
 */
export async function resolve(
  reference: string,
  platforms: readonly Platform[],
  deps: ReleaseDeps,
  context: RunContext,
): Promise<Resolved> {
  const { repository, tag, digest } = parseReference(reference)
  // Copied field by field: what a registry hands out may change its mind between two looks.
  const root = parseDescriptor(await deps.registry.resolve(reference, { signal: context.signal }), `what ${reference} resolves to`)
  if (digest !== undefined && root.digest !== digest) {
    throw fail('DIGEST_MISMATCH', `expected the registry to resolve ${reference} to itself, found ${root.digest}`, { stage: 'resolve' })
  }
  const bytes = await smallContent(repository, root, deps, context)
  const index = manifestKind(root.mediaType) === 'index' ? parseIndex(bytes, root.mediaType) : undefined
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

function imagesOf({ layers }: ImageManifest, reference: string): readonly [PinnedImage] {
  const [only, ...others] = layers
  if (only === undefined) throw fail('INVALID_MANIFEST', `${reference}: expected one layer, the image; found none`, { stage: 'resolve' })
  if (others.length > 0) {
    const titles = layers.slice(0, 16).map((layer) => quoted(layer.annotations?.[annotations.title] ?? layer.digest))
    throw fail('COMPONENTS_UNSUPPORTED', `${reference}: expected one layer, the image; found ${layers.length}: ${titles.join(', ')}`, {
      stage: 'resolve',
    })
  }
  return Object.freeze([Object.freeze({ component: 'image', descriptor: only })] as const)
}
