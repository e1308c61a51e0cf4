import {
  type ByteStream,
  checked,
  collect,
  coreError,
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  manifestKind,
  manifestLimitBytes,
  parseIndex,
  parseManifest,
} from '@reflash/core'
import { fail } from './oci-errors.ts'

/** An image manifest, or an index. */
export type ManifestDocument = ImageManifest | ImageIndex

/**
 * Reads a manifest that is about to be stored, and checks it whole.
 * @throws `TRUNCATED`, `TRAILING_BYTES`, `DIGEST_MISMATCH`, `MANIFEST_TOO_LARGE`, `INVALID_MANIFEST`
 */
export async function checkedManifest(
  descriptor: Descriptor,
  open: () => ByteStream,
  signal?: AbortSignal,
): Promise<{ readonly bytes: Uint8Array; readonly document: ManifestDocument }> {
  if (descriptor.size > manifestLimitBytes) {
    throw coreError(
      'MANIFEST_TOO_LARGE',
      `${descriptor.digest}: expected a manifest of at most ${manifestLimitBytes} bytes, found ${descriptor.size}`,
    )
  }
  const bytes = await collect(checked(open(), descriptor, signal === undefined ? {} : { signal }), manifestLimitBytes, descriptor.digest)
  return { bytes, document: manifestDocument(bytes, descriptor.mediaType) }
}

/** @throws `INVALID_MANIFEST` */
export function manifestDocument(bytes: Uint8Array, mediaType: string): ManifestDocument {
  return manifestKind(mediaType) === 'index' ? parseIndex(bytes, mediaType) : parseManifest(bytes, mediaType)
}

/** What a manifest is for; OCI distribution spec, listing referrers: the config's media type stands in for a missing one. */
export function artifactTypeOf(document: ManifestDocument): string | undefined {
  return document.artifactType ?? ('config' in document ? document.config.mediaType : undefined)
}

/** The descriptor under which a manifest is listed as a referrer: with its artifact type and annotations. */
export function referrerDescriptor({ mediaType, digest, size }: Descriptor, document: ManifestDocument): Descriptor {
  const artifactType = artifactTypeOf(document)
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(Object.keys(document.annotations).length === 0 ? {} : { annotations: document.annotations }),
  }
}

/**
 * OCI distribution spec, pulling manifests: the mediaType field and Content-Type must agree. Where they do not, two readers see two
 * different documents in one signed text (CVE-2021-41190).
 * @throws `MEDIA_TYPE_MISMATCH`
 */
export function checkStatedType(bytes: Uint8Array, mediaType: string, what: string): void {
  let stated: unknown
  try {
    stated = (JSON.parse(new TextDecoder().decode(bytes)) as { mediaType?: unknown } | null)?.mediaType
  } catch {
    throw coreError('INVALID_MANIFEST', `${what}: expected JSON, found ${bytes.length} bytes that are not`)
  }
  if (stated !== undefined && stated !== mediaType) {
    throw fail('MEDIA_TYPE_MISMATCH', `${what}: expected its mediaType field to be ${shownType(mediaType)}, found ${shownType(stated)}`)
  }
}

/** A media type in an error message. */
export function shownType(value: unknown): string {
  const text = value === '' || value === undefined ? 'none' : (JSON.stringify(value) ?? 'none')
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
