import {
  type ByteStream,
  type CallOptions,
  coreError,
  type Descriptor,
  parseDigest,
  parseReference,
  type Registry,
  throwIfAborted,
} from '@reflash/core'
import {
  fetchFromLayout,
  isLayout,
  pushToLayout,
  referrersInLayout,
  resolveInLayout,
  tagInLayout,
  tagsInLayout,
} from './layout/layout-registry.ts'
import { type OciRegistryOptions, ociSettings } from './oci-options.ts'
import { fetchRemote } from './remote/fetch-remote.ts'
import { listReferrers } from './remote/list-referrers.ts'
import { listTags } from './remote/list-tags.ts'
import { pushRemote, tagRemote } from './remote/push-remote.ts'
import { remoteClient } from './remote/remote-client.ts'
import { resolveRemote } from './remote/resolve-remote.ts'

/** A registry that can do everything the contract has: read, list, and write. */
export type OciRegistry = Registry & Required<Pick<Registry, 'tags' | 'referrers' | 'push' | 'tag' | 'close'>>

/**
 * Makes one registry over OCI image layouts on disk (`oci:<dir>`) and remote registries (`host[:port]/name`), read and write. It connects at
 * the first call and ends all connections at `close()`; calls after that fail with `ABORTED`.
 * OCI image spec 1.1, OCI distribution spec 1.1.
 * @throws `INVALID_OPTIONS`; every method `INVALID_REFERENCE`, `INVALID_DIGEST`, `INVALID_DESCRIPTOR`, and what it says itself
 * @example
 * const registry = ociRegistry({ credentials: () => ({ username: 'robot', password: process.env.REGISTRY_PASSWORD ?? '' }) })
 * const { digest } = await registry.resolve('registry.example.com/firmware/sensor:1.2.3')
 */
export function ociRegistry(options: OciRegistryOptions = {}): OciRegistry {
  const settings = ociSettings(options)
  const client = remoteClient(settings)
  let closed = false
  const checkOpen = (): void => {
    if (closed) throw coreError('ABORTED', 'expected an open registry plugin, found one after close()')
  }
  return Object.freeze({
    kind: 'registry',
    name: 'oci',
    spec: 0,
    async resolve(reference: string, { signal }: CallOptions = {}) {
      checkOpen()
      const parsed = parseReference(reference)
      return isLayout(parsed.repository) ? resolveInLayout(reference, signal) : resolveRemote(client, parsed, signal)
    },
    async fetch(repository: string, descriptor: Descriptor, options: CallOptions & { readonly offset?: number } = {}) {
      checkOpen()
      checkDescriptor(descriptor)
      if (isLayout(repository)) return fetchFromLayout(repository, descriptor, options)
      return fetchRemote(client, client.repository(repository), descriptor, options)
    },
    async *tags(repository: string, { signal }: CallOptions = {}) {
      checkOpen()
      const tags = isLayout(repository) ? tagsInLayout(repository, signal) : listTags(client, client.repository(repository), signal)
      yield* whileHere(tags, signal)
    },
    async *referrers(repository: string, subject: Descriptor, options: CallOptions & { readonly artifactType?: string } = {}) {
      checkOpen()
      checkDescriptor(subject)
      const referrers = isLayout(repository)
        ? referrersInLayout(repository, subject, settings, options)
        : listReferrers(client, client.repository(repository), subject, options)
      yield* whileHere(referrers, options.signal)
    },
    async push(repository: string, descriptor: Descriptor, open: () => ByteStream, { signal }: CallOptions = {}) {
      checkOpen()
      checkDescriptor(descriptor)
      if (isLayout(repository)) return pushToLayout(repository, descriptor, open, settings, signal)
      return pushRemote(client, client.repository(repository), descriptor, open, signal)
    },
    async tag(descriptor: Descriptor, reference: string, { signal }: CallOptions = {}) {
      checkOpen()
      checkDescriptor(descriptor)
      if (isLayout(parseReference(reference).repository)) return tagInLayout(descriptor, reference, settings, signal)
      return tagRemote(client, descriptor, reference, signal)
    },
    close() {
      closed = true
      return client.close()
    },
  } satisfies OciRegistry)
}

// A digest becomes a path of a file or a URL: whatever a caller has taken for one, it must not lead anywhere else.
function checkDescriptor({ digest, size }: Descriptor): void {
  parseDigest(digest)
  if (Number.isSafeInteger(size) && size >= 0) return
  throw coreError('INVALID_DESCRIPTOR', `size: expected bytes as an integer from 0 to 2^53-1, found ${String(size)}`)
}

/** A list ends for a reader who leaves in its middle, also where a whole page of it is here. */
async function* whileHere<T>(items: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncIterable<T> {
  for await (const item of items) {
    throwIfAborted(signal)
    yield item
  }
}
