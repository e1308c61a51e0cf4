import type { ByteStream } from '../content/byte-stream.ts'
import type { Descriptor } from '../content/descriptor.ts'
import type { CallOptions, Plugin } from './plugin.ts'

/**
 * Where artifacts come from. `reference` is `<repository>[:tag][@digest]`, `repository` the same without tag and digest.
 * Core checks size and digest of every byte again: a registry is never trusted. Errors that say nothing of the content (credentials refused,
 * certificate not trusted) carry `concerns: 'access'`: an update that is under way waits for them to be mended, and does not fail.
 */
export interface Registry extends Plugin<'registry'> {
  /** The descriptor a tag or digest points at now. @throws `NOT_FOUND` (invalid), faults `unavailable`, `rejected` (credentials, `concerns: 'access'`). */
  resolve(reference: string, options?: CallOptions): Promise<Descriptor>
  /** The bytes of a manifest or blob, from `offset` on. */
  fetch(repository: string, descriptor: Descriptor, options?: CallOptions & { readonly offset?: number }): Promise<ByteStream>
  tags?(repository: string, options?: CallOptions): AsyncIterable<string>
  /** Manifests whose `subject` is this one. OCI distribution spec, listing referrers. */
  referrers?(repository: string, subject: Descriptor, options?: CallOptions & { readonly artifactType?: string }): AsyncIterable<Descriptor>
  /** Stores content; `open` may be called again: after a 401, a redirect, a broken upload. */
  push?(repository: string, descriptor: Descriptor, open: () => ByteStream, options?: CallOptions): Promise<void>
  /** Points the tag of `reference` at a manifest that the repository holds. */
  tag?(descriptor: Descriptor, reference: string, options?: CallOptions): Promise<void>
}
