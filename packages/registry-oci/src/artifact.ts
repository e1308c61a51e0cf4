import {
  annotations as annotationKeys,
  type ByteStream,
  type CallOptions,
  coreError,
  type Descriptor,
  type Digest,
  digestOf,
  firmwareArtifactType,
  formatPlatform,
  hashFor,
  mediaTypes,
  type Platform,
  parsePlatform,
  parseReference,
  parseTag,
  parseVersion,
  type Registry,
  streamOf,
  throwIfAborted,
} from '@reflash/core'
import { manifestDocument } from './manifest-bytes.ts'
import { fail } from './oci-errors.ts'

/** One image to push: its bytes, or a way to read them as often as it takes. */
export type ArtifactFile = {
  /** File name without directories; shown by tools, never used as a path. */
  readonly title: string
  /** Media type of the image; `application/octet-stream` where absent. */
  readonly mediaType?: string
  /** Needed where there are several files. */
  readonly platform?: Platform
} & ({ readonly bytes: Uint8Array } | { readonly open: () => ByteStream })

export interface PushArtifactOptions extends CallOptions {
  /** When the release was made; passed in, so that the same files make the same digests again. */
  readonly created: Date
  readonly product?: string
  /** Semver. Read from the tag where absent. */
  readonly version?: string
  /** Further annotations of every manifest and of the index. */
  readonly annotations?: Readonly<Record<string, string>>
  /** Bytes of images that the registry has, and bytes in all. */
  progress?(done: number, total: number): void
}

/** What was pushed: the root is the index, or the only manifest. */
export interface PushedArtifact {
  readonly root: Descriptor
  readonly version: string
  readonly images: readonly { readonly manifest: Descriptor; readonly image: Descriptor; readonly platform?: Platform }[]
}

interface Prepared {
  readonly image: Descriptor
  readonly open: () => ByteStream
  readonly platform: Platform | undefined
  readonly manifest: Descriptor
  readonly bytes: Uint8Array
}

/** OCI image spec, manifest.md: the config of an artifact that has none. Registries want the blob all the same. */
const emptyBytes = new TextEncoder().encode('{}')
const emptyConfig = { mediaType: mediaTypes.empty, digest: digestOf(emptyBytes), size: emptyBytes.length, data: 'e30=' } as const

/** Written by us from what we were told: a second value would be a lie in signed bytes. */
const ownKeys: ReadonlySet<string> = new Set([
  annotationKeys.version,
  annotationKeys.created,
  annotationKeys.product,
  annotationKeys.platform,
  annotationKeys.title,
])

/**
 * Pushes files as a release: one file as an OCI artifact, several as an index with one artifact per platform. Version, product and platform
 * go into the manifests, where a signature covers them; the tag is written last, when all that it leads to is there.
 * OCI image spec 1.1, manifest.md, guidelines for artifact usage.
 * @throws `INVALID_REFERENCE`, `VERSION_MISSING`, `INVALID_ARTIFACT`, `INVALID_MANIFEST`, `PUSH_UNSUPPORTED`, what the registry throws
 */
export async function pushArtifact(
  registry: Pick<Registry, 'push' | 'tag'>,
  reference: string,
  files: readonly ArtifactFile[],
  options: PushArtifactOptions,
): Promise<PushedArtifact> {
  const { push, tag } = registry
  if (push === undefined || tag === undefined)
    throw fail('PUSH_UNSUPPORTED', 'expected a registry that can push and tag, found one that cannot')
  const { repository, tag: name, digest } = parseReference(reference)
  if (name === undefined || digest !== undefined) {
    throw coreError('INVALID_REFERENCE', `expected <repository>:<tag> to push to, found ${JSON.stringify(reference.slice(0, 200))}`)
  }
  const version = versionOf(name, options.version)
  checkFiles(files, options)
  const prepared: Prepared[] = []
  for (const file of files) prepared.push(await prepare(file, version, options))
  const index = prepared.length === 1 ? undefined : indexOf(prepared, version, options)
  const call: CallOptions = options.signal === undefined ? {} : { signal: options.signal }

  const store = (descriptor: Descriptor, open: () => ByteStream) => push.call(registry, repository, descriptor, open, call)
  await store(emptyConfig, () => streamOf(emptyBytes))
  await pushImages(prepared, store, options)
  for (const { manifest, bytes } of prepared) await store(manifest, () => streamOf(bytes))
  if (index !== undefined) await store(index.descriptor, () => streamOf(index.bytes))
  const root = index?.descriptor ?? (prepared[0] as Prepared).manifest
  await tag.call(registry, root, `${repository}:${name}`, call)
  return {
    root,
    version,
    images: prepared.map(({ manifest, image, platform }) => ({ manifest, image, ...(platform === undefined ? {} : { platform }) })),
  }
}

function versionOf(tag: string, given: string | undefined): string {
  const named = parseTag(tag)
  const version = given === undefined ? named : parseVersion(given)
  if (version === undefined) {
    const found = given === undefined ? `the tag ${JSON.stringify(tag)}` : JSON.stringify(given.slice(0, 100))
    throw fail('VERSION_MISSING', `expected a version such as 1.2.3 or v1.2.3, found ${found}`)
  }
  // Servers refuse a release whose tag says another version than its signed bytes.
  if (named !== undefined && named !== version) throw invalid(`expected tag and version to agree, found ${named} and ${version}`)
  return version
}

function checkFiles(files: readonly ArtifactFile[], { annotations = {}, created, product }: PushArtifactOptions): void {
  if (files.length === 0) throw invalid('expected at least one file, found none')
  if (!(created instanceof Date) || Number.isNaN(created.getTime())) throw invalid('expected created to be a date, found something else')
  if (product !== undefined && (product.length === 0 || product.length > 255)) throw invalid('expected a product of 1 to 255 characters')
  const reserved = Object.keys(annotations).find((key) => ownKeys.has(key) || key === '')
  if (reserved !== undefined)
    throw invalid(`annotation ${JSON.stringify(reserved)}: expected another key, for this one there is an option of its own`)
  const seen = new Map<string, string>()
  for (const { title, platform } of files) {
    // A name that a careless tool may take for a path.
    if (title === '' || title.length > 255 || title === '.' || title === '..' || /[/\\\p{Cc}]/u.test(title)) {
      throw invalid(`title: expected a file name without directories, found ${JSON.stringify(title.slice(0, 300))}`)
    }
    if (files.length > 1 && platform === undefined)
      throw invalid(`${title}: expected a platform for each of ${files.length} files, found none`)
    if (platform === undefined) continue
    const text = formatPlatform(parsePlatform(formatPlatform(platform)))
    const other = seen.get(text)
    if (other !== undefined) throw invalid(`expected one file for ${text}, found ${other} and ${title}`)
    seen.set(text, title)
  }
}

async function prepare(file: ArtifactFile, version: string, options: PushArtifactOptions): Promise<Prepared> {
  const open = 'bytes' in file ? () => streamOf(file.bytes) : file.open
  const { digest, size } = await measure(open, options.signal)
  const image: Descriptor = { mediaType: file.mediaType ?? 'application/octet-stream', digest, size }
  const { platform } = file
  const bytes = encode({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: firmwareArtifactType,
    config: emptyConfig,
    layers: [{ ...image, annotations: { [annotationKeys.title]: file.title } }],
    annotations: annotationsOf(version, options, platform),
  })
  // What we could not read back is not pushed.
  manifestDocument(bytes, mediaTypes.manifest)
  const manifest: Descriptor = {
    mediaType: mediaTypes.manifest,
    digest: digestOf(bytes),
    size: bytes.length,
    artifactType: firmwareArtifactType,
    ...(platform === undefined ? {} : { platform: { ...platform } }),
  }
  return { image, open, platform, manifest, bytes }
}

async function measure(open: () => ByteStream, signal: AbortSignal | undefined): Promise<{ digest: Digest; size: number }> {
  const hash = hashFor(emptyConfig.digest)
  let size = 0
  for await (const chunk of open()) {
    throwIfAborted(signal)
    hash.update(chunk)
    size += chunk.length
  }
  return { digest: `sha256:${hash.digest('hex')}`, size }
}

/**
 * Fields in the order of the specification's Go types, and none that image-spec 1.0 does not know (artifactType): tools of that time, such as
 * Debian 12's skopeo, write an index anew when they copy it, and its digest and signature live on only where nothing is lost by that.
 */
function indexOf(
  prepared: readonly Prepared[],
  version: string,
  options: PushArtifactOptions,
): { descriptor: Descriptor; bytes: Uint8Array } {
  const bytes = encode({
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: prepared.map(({ manifest: { mediaType, digest, size }, platform }) => ({
      mediaType,
      digest,
      size,
      ...(platform === undefined ? {} : { platform: ordered(platform) }),
    })),
    annotations: annotationsOf(version, options, undefined),
  })
  manifestDocument(bytes, mediaTypes.index)
  return { descriptor: { mediaType: mediaTypes.index, digest: digestOf(bytes), size: bytes.length }, bytes }
}

function annotationsOf(version: string, { annotations = {}, created, product }: PushArtifactOptions, platform: Platform | undefined) {
  const all: Record<string, string> = {
    ...annotations,
    [annotationKeys.version]: version,
    // RFC 3339 with whole seconds, as other tools write it.
    [annotationKeys.created]: created.toISOString().replace(/\.[0-9]{3}Z$/, 'Z'),
    ...(product === undefined ? {} : { [annotationKeys.product]: product }),
    ...(platform === undefined ? {} : { [annotationKeys.platform]: formatPlatform(platform) }),
  }
  // Sorted, so that the digest does not depend on the order of options.
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function ordered({ architecture, os, variant }: Platform): Platform {
  return { architecture, os, ...(variant === undefined ? {} : { variant }) }
}

/** Pushes images one after another; bytes count when they flow, and once only where `open` is called again. */
async function pushImages(
  prepared: readonly Prepared[],
  store: (descriptor: Descriptor, open: () => ByteStream) => Promise<void>,
  options: PushArtifactOptions,
): Promise<void> {
  const total = prepared.reduce((sum, { image }) => sum + image.size, 0)
  let before = 0
  options.progress?.(0, total)
  for (const { image, open } of prepared) {
    await store(image, () => counted(open(), (sent) => options.progress?.(before + Math.min(sent, image.size), total)))
    before += image.size
    options.progress?.(before, total)
  }
}

async function* counted(bytes: ByteStream, onSent: (sent: number) => void): ByteStream {
  let sent = 0
  for await (const chunk of bytes) {
    yield chunk
    sent += chunk.length
    onSent(sent)
  }
}

function encode(document: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(document))
}

function invalid(message: string): Error {
  return fail('INVALID_ARTIFACT', message)
}
