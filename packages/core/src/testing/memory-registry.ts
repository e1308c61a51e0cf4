import { throwIfAborted } from '../content/abort.ts'
import { boundsOf } from '../content/byte-range.ts'
import { collect, streamOf } from '../content/byte-stream.ts'
import { checked } from '../content/checked.ts'
import type { Descriptor } from '../content/descriptor.ts'
import type { Digest } from '../content/digest.ts'
import { manifestKind } from '../content/manifest.ts'
import { formatReference, parseReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import type { Registry } from '../plugin/registry.ts'
import {
  type AddedArtifact,
  addArtifact,
  addContent,
  addIndex,
  type MemoryArtifact,
  type MemoryIndex,
  type MemoryRepository,
  partsOf,
  referrersOf,
  type StoredContent,
} from './memory-repository.ts'

/** A registry with every power, and with helpers for tests that put things in, spoil them, and watch. */
export interface MemoryRegistry extends Required<Omit<Registry, 'opens' | 'close'>> {
  addArtifact(repository: string, artifact: MemoryArtifact): AddedArtifact
  addIndex(repository: string, index: MemoryIndex): Descriptor
  /** Puts a blob or a manifest in as it is, unchecked. */
  addContent(repository: string, mediaType: string, bytes: Uint8Array): Descriptor
  /** Serves other bytes under a digest, as a broken or hostile registry does. */
  replace(repository: string, digest: Digest, bytes: Uint8Array): void
  untag(repository: string, tag: string): void
  /** Where false, every call of the contract fails with `REGISTRY_UNAVAILABLE`. */
  setOnline(online: boolean): void
  /** Every call of the contract so far, such as `resolve fw/app:1.0.0` or `fetch fw/app@sha256:…`. */
  readonly calls: readonly string[]
}

/** Makes an empty registry that lives as long as the process. */
export function memoryRegistry(): MemoryRegistry {
  const repositories = new Map<string, MemoryRepository>()
  const calls: string[] = []
  let isOnline = true

  /** The repository, made where it is missing. */
  function ensure(name: string): MemoryRepository {
    const repository = repositories.get(name) ?? { contents: new Map(), tags: new Map() }
    repositories.set(name, repository)
    return repository
  }

  function enter(method: string, at: string, signal: AbortSignal | undefined): void {
    throwIfAborted(signal)
    calls.push(`${method} ${at}`)
    if (!isOnline) throw fail('REGISTRY_UNAVAILABLE', `expected the memory registry to answer ${method} ${at}, found it offline`)
  }

  function contentOf(name: string, digest: Digest): StoredContent {
    const content = repositories.get(name)?.contents.get(digest)
    if (content === undefined) throw fail('NOT_FOUND', `expected ${digest} in ${name}, found none; push it first`)
    return content
  }

  return Object.freeze<MemoryRegistry>({
    kind: 'registry',
    name: 'memory',
    spec: 0,
    calls,
    async resolve(reference, options) {
      enter('resolve', reference, options?.signal)
      const { repository, tag, digest } = parseReference(reference)
      const pinned = digest ?? repositories.get(repository)?.tags.get(tag ?? '')
      if (pinned === undefined) throw fail('NOT_FOUND', `expected ${reference} to name a tag or digest of the registry, found none`)
      const content = contentOf(repository, pinned)
      if (manifestKind(content.mediaType) === undefined) throw fail('NOT_FOUND', `expected ${reference} to be a manifest, found a blob`)
      return { mediaType: content.mediaType, digest: pinned, size: content.bytes.length }
    },
    async fetch(repository, { digest }, options) {
      enter('fetch', formatReference({ repository, digest }), options?.signal)
      const { bytes } = contentOf(repository, digest)
      const { offset } = boundsOf({ offset: options?.offset ?? 0 }, { digest, size: bytes.length })
      return untilAborted(streamOf(bytes.subarray(offset)), options?.signal)
    },
    async *tags(repository, options) {
      enter('tags', repository, options?.signal)
      const found = repositories.get(repository)
      if (found === undefined) throw fail('NOT_FOUND', `expected repository ${repository}, found none`)
      for (const tag of found.tags.keys()) {
        throwIfAborted(options?.signal)
        yield tag
      }
    },
    async *referrers(repository, subject, options) {
      enter('referrers', formatReference({ repository, digest: subject.digest }), options?.signal)
      for (const descriptor of referrersOf(repositories.get(repository), subject.digest)) {
        throwIfAborted(options?.signal)
        if (options?.artifactType === undefined || descriptor.artifactType === options.artifactType) yield descriptor
      }
    },
    async push(repository, descriptor, open, options) {
      enter('push', formatReference({ repository, digest: descriptor.digest }), options?.signal)
      const signal = options?.signal === undefined ? {} : { signal: options.signal }
      const bytes = await collect(checked(open(), descriptor, signal), descriptor.size)
      for (const { digest } of partsOf(descriptor.mediaType, bytes)) contentOf(repository, digest)
      ensure(repository).contents.set(descriptor.digest, { mediaType: descriptor.mediaType, bytes })
    },
    async tag({ digest }, reference, options) {
      enter('tag', reference, options?.signal)
      const { repository, tag } = parseReference(reference)
      const { mediaType } = contentOf(repository, digest)
      if (tag === undefined || manifestKind(mediaType) === undefined) {
        throw fail('INVALID_REFERENCE', `expected a tag and a manifest, found ${reference} and ${mediaType}`)
      }
      ensure(repository).tags.set(tag, digest)
    },
    addArtifact: (name, artifact) => addArtifact(ensure(name), artifact),
    addIndex: (name, index) => addIndex(ensure(name), index),
    addContent: (name, mediaType, bytes) => addContent(ensure(name), mediaType, bytes),
    replace(name, digest, bytes) {
      ensure(name).contents.set(digest, { ...contentOf(name, digest), bytes })
    },
    untag(name, tag) {
      ensure(name).tags.delete(tag)
    },
    setOnline(online) {
      isOnline = online
    },
  })
}

async function* untilAborted(stream: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
  for await (const chunk of stream) {
    throwIfAborted(signal)
    yield chunk
  }
}
