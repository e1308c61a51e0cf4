import { mkdir, stat } from 'node:fs/promises'
import { join, resolve as resolvePath } from 'node:path'
import {
  type ByteStream,
  checked,
  coreError,
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestHex,
  digestOf,
  formatReference,
  isOtaError,
  manifestKind,
  manifestLimitBytes,
  mediaTypes,
  parseReference,
  streamOf,
  throwIfAborted,
} from '@reflash/core'
import { exactly, wrongSize } from '../exactly.ts'
import { artifactTypeOf, checkedManifest, checkStatedType, type ManifestDocument, referrerDescriptor } from '../manifest-bytes.ts'
import { fail } from '../oci-errors.ts'
import type { OciSettings } from '../oci-options.ts'
import { tagPattern } from '../tag-pattern.ts'
import { onFiles } from './file-failure.ts'
import { fileBytes, readSmallFile, writeWhole } from './layout-file.ts'
import { editLayoutIndex, ensureLayout, type LayoutEntry, readLayoutIndex, refName } from './layout-index.ts'

const scheme = 'oci:'

/** Whether a repository is a directory on disk. */
export function isLayout(repository: string): boolean {
  return repository.startsWith(scheme)
}

function directoryOf(repository: string): string {
  return resolvePath(repository.slice(scheme.length))
}

function blobPath(directory: string, digest: Digest): string {
  return join(directory, 'blobs', digestAlgorithm(digest), digestHex(digest))
}

/** @throws `NOT_FOUND` naming what is there, `INVALID_LAYOUT` where a tag stands twice, `INVALID_REFERENCE` where a tag is needed */
export async function resolveInLayout(reference: string, signal?: AbortSignal): Promise<Descriptor> {
  throwIfAborted(signal)
  const { repository, tag, digest } = parseReference(reference)
  const directory = directoryOf(repository)
  const entries = await readLayoutIndex(directory)
  if (digest !== undefined)
    return plain(entries.find((entry) => entry.descriptor.digest === digest)?.descriptor ?? (await unlisted(directory, digest)))
  const fitting = entries.filter((entry) => entry.tag === tag && tag !== undefined)
  const digests = new Set(fitting.map(({ descriptor }) => descriptor.digest))
  const shown = formatReference({ repository, ...(tag === undefined ? {} : { tag }) })
  if (digests.size > 1)
    throw fail('INVALID_LAYOUT', `${shown}: expected the tag once in index.json, found it for ${[...digests].slice(0, 4).join(' and ')}`)
  if (fitting[0] !== undefined) return plain(fitting[0].descriptor)
  const tags = tagsOf(entries).slice(0, 20)
  const found = tags.length === 0 ? 'no tags' : `the tags ${tags.join(', ')}`
  if (tag === undefined)
    throw coreError('INVALID_REFERENCE', `expected a tag or a digest after ${shown}, found neither; the layout has ${found}`)
  throw coreError('NOT_FOUND', `${shown}: expected it to exist, found ${found}`)
}

/** A manifest that no entry names, such as the child of an index. */
async function unlisted(directory: string, digest: Digest): Promise<Descriptor> {
  const path = blobPath(directory, digest)
  const bytes = await onFiles(path, () => readSmallFile(path, manifestLimitBytes))
  if (digestOf(bytes, digestAlgorithm(digest)) !== digest)
    throw coreError('DIGEST_MISMATCH', `${path}: expected ${digest}, found other bytes; nothing was used`)
  const mediaType = mediaTypeOf(bytes)
  if (manifestKind(mediaType) === undefined)
    throw coreError('NOT_FOUND', `${path}: expected an image manifest or index, found other content`)
  return { mediaType, digest, size: bytes.length }
}

function mediaTypeOf(bytes: Uint8Array): string {
  try {
    const { mediaType, manifests, layers } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>
    if (typeof mediaType === 'string') return mediaType
    if (Array.isArray(manifests)) return mediaTypes.index
    return Array.isArray(layers) ? mediaTypes.manifest : ''
  } catch {
    return ''
  }
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

/** @throws `NOT_FOUND`, `INVALID_RANGE`, `TRUNCATED`, `TRAILING_BYTES`, `DIGEST_MISMATCH`, `MEDIA_TYPE_MISMATCH` */
export async function fetchFromLayout(
  repository: string,
  descriptor: Descriptor,
  { offset = 0, signal }: { readonly offset?: number; readonly signal?: AbortSignal } = {},
): Promise<ByteStream> {
  throwIfAborted(signal)
  const { digest, size, mediaType } = descriptor
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > size) {
    throw coreError('INVALID_RANGE', `${digest}: expected an offset from 0 to ${size}, found ${offset}`)
  }
  const path = blobPath(directoryOf(repository), digest)
  const found = await onFiles(path, () => stat(path))
  if (!found.isFile()) throw coreError('NOT_FOUND', `${path}: expected a file, found something else`)
  if (found.size !== size) throw wrongSize(path, size, found.size)
  if (manifestKind(mediaType) !== undefined) {
    const { bytes } = await checkedManifest(descriptor, () => mapped(path, fileBytes(path)), signal)
    checkStatedType(bytes, mediaType, path)
    return streamOf(bytes.subarray(offset))
  }
  const bytes = mapped(path, fileBytes(path, offset))
  return offset === 0
    ? checked(bytes, descriptor, signal === undefined ? {} : { signal })
    : exactly(untilAborted(bytes, signal), size - offset, path)
}

async function* mapped(path: string, bytes: ByteStream): ByteStream {
  const chunks = bytes[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value } = await onFiles(path, () => chunks.next())
      if (done) return
      yield value
    }
  } finally {
    await chunks.return?.()
  }
}

async function* untilAborted(bytes: ByteStream, signal: AbortSignal | undefined): ByteStream {
  for await (const chunk of bytes) {
    throwIfAborted(signal)
    yield chunk
  }
}

export async function* tagsInLayout(repository: string, signal?: AbortSignal): AsyncIterable<string> {
  throwIfAborted(signal)
  yield* tagsOf(await readLayoutIndex(directoryOf(repository)))
}

function tagsOf(entries: readonly LayoutEntry[]): readonly string[] {
  // Other tools write whole references there; such a name cannot be asked for as a tag.
  return [...new Set(entries.flatMap(({ tag }) => (tag !== undefined && tagPattern.test(tag) ? [tag] : [])))]
}

/** Manifests of index.json whose subject this is. Those that cannot be read are passed over: they vouch for nothing. */
export async function* referrersInLayout(
  repository: string,
  subject: Descriptor,
  settings: OciSettings,
  { artifactType, signal }: { readonly artifactType?: string; readonly signal?: AbortSignal } = {},
): AsyncIterable<Descriptor> {
  const seen = new Set<Digest>()
  const limit = settings.limits.referrers
  let listed = 0
  for (const { descriptor } of await readLayoutIndex(directoryOf(repository))) {
    throwIfAborted(signal)
    if (seen.has(descriptor.digest) || manifestKind(descriptor.mediaType) === undefined) continue
    seen.add(descriptor.digest)
    const document = await readable(repository, descriptor, signal)
    if (document?.subject?.digest !== subject.digest) continue
    if (++listed > limit) {
      throw fail('TOO_MANY_REFERRERS', `${repository}: expected at most ${limit} referrers, found more; the option is limits.referrers`)
    }
    if (artifactType === undefined || artifactTypeOf(document) === artifactType) yield referrerDescriptor(descriptor, document)
  }
}

async function readable(
  repository: string,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Promise<ManifestDocument | undefined> {
  const path = blobPath(directoryOf(repository), descriptor.digest)
  try {
    const { document } = await checkedManifest(descriptor, () => mapped(path, fileBytes(path)), signal)
    return document
  } catch (error) {
    if (isOtaError(error) && (error.fault === 'invalid' || error.fault === 'rejected')) return undefined
    throw error
  }
}

/** @throws `TRUNCATED`, `TRAILING_BYTES`, `DIGEST_MISMATCH`, `INVALID_LAYOUT`, `LAYOUT_BUSY` */
export async function pushToLayout(
  repository: string,
  descriptor: Descriptor,
  open: () => ByteStream,
  settings: OciSettings,
  signal?: AbortSignal,
): Promise<void> {
  throwIfAborted(signal)
  const directory = directoryOf(repository)
  await ensureLayout(directory, settings, signal)
  const isManifest = manifestKind(descriptor.mediaType) !== undefined
  const manifest = isManifest ? await checkedManifest(descriptor, open, signal) : undefined
  await writeBlob(directory, descriptor, manifest === undefined ? open : () => streamOf(manifest.bytes), signal)
  // index.json is the only list of a layout: a referrer that is not in it is never found again.
  if (manifest?.document.subject === undefined) return
  const entry = referrerDescriptor(descriptor, manifest.document)
  await editLayoutIndex(directory, settings, signal, (entries) => {
    const others = entries.map(({ json }) => json)
    return entries.some((one) => one.descriptor.digest === descriptor.digest) ? others : [...others, entry]
  })
}

async function writeBlob(
  directory: string,
  descriptor: Descriptor,
  open: () => ByteStream,
  signal: AbortSignal | undefined,
): Promise<void> {
  const path = blobPath(directory, descriptor.digest)
  if (await isWhole(path, descriptor, signal)) return
  await onFiles(path, async () => {
    await mkdir(join(directory, 'blobs', digestAlgorithm(descriptor.digest)), { recursive: true })
    await writeWhole(directory, path, checked(open(), descriptor, signal === undefined ? {} : { signal }))
  })
}

/** Whether the blob is there already and undamaged: pushing again mends a layout. */
async function isWhole(path: string, descriptor: Descriptor, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    for await (const _ of checked(fileBytes(path), descriptor, signal === undefined ? {} : { signal }));
    return true
  } catch {
    throwIfAborted(signal)
    return false
  }
}

/** @throws `INVALID_REFERENCE`, `NOT_FOUND` where the layout does not hold the manifest, `LAYOUT_BUSY` */
export async function tagInLayout(descriptor: Descriptor, reference: string, settings: OciSettings, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal)
  const { repository, tag, digest } = parseReference(reference)
  if (tag === undefined || (digest !== undefined && digest !== descriptor.digest)) {
    throw coreError('INVALID_REFERENCE', `expected a tag for ${descriptor.digest}, found ${JSON.stringify(reference.slice(0, 200))}`)
  }
  const directory = directoryOf(repository)
  const path = blobPath(directory, descriptor.digest)
  const { document } = await checkedManifest(descriptor, () => mapped(path, fileBytes(path)), signal)
  const { artifactType } = document
  const entry = {
    ...plain(descriptor),
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(descriptor.platform === undefined ? {} : { platform: descriptor.platform }),
    annotations: { [refName]: tag },
  }
  await editLayoutIndex(directory, settings, signal, (entries) => {
    const others = entries.filter((one) => one.tag !== tag)
    return [...others.map(({ json }) => json), entry]
  })
}
