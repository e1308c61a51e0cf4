import { type ByteStream, checked, coreError, type Descriptor, manifestKind, parseReference, streamOf } from '@reflash/core'
import { checkedManifest } from '../manifest-bytes.ts'
import { contentLengthOf, headerOf } from './answer.ts'
import { putManifest } from './put-manifest.ts'
import { addToReferrersTag } from './referrers-tag.ts'
import type { RemoteClient } from './remote-client.ts'
import type { RemoteRepository } from './remote-repository.ts'
import { getManifest } from './resolve-remote.ts'

/**
 * Stores a blob or a manifest by digest. What the repository holds already is not sent again.
 * @throws `TRUNCATED`, `TRAILING_BYTES`, `DIGEST_MISMATCH` where `open` yields other bytes; `REGISTRY_REFUSED`; and what requests throw
 */
export async function pushRemote(
  client: RemoteClient,
  repository: RemoteRepository,
  descriptor: Descriptor,
  open: () => ByteStream,
  signal?: AbortSignal,
): Promise<void> {
  if (manifestKind(descriptor.mediaType) === undefined) return pushBlob(client, repository, descriptor, open, signal)
  const { bytes, document } = await checkedManifest(descriptor, open, signal)
  const answer = await putManifest(client, repository, descriptor.digest, descriptor.mediaType, bytes, {}, signal)
  // OCI distribution spec, pushing manifests with subject: no OCI-Subject means that the registry keeps no list of referrers.
  if (document.subject === undefined || headerOf(answer, 'oci-subject') !== undefined) return
  await addToReferrersTag(client, repository, document.subject.digest, descriptor, document, signal)
}

/**
 * Points the tag of `reference` at a manifest of the repository, by storing the manifest's own bytes under the tag.
 * @throws `INVALID_REFERENCE`, `NOT_FOUND`, `DIGEST_MISMATCH`, and what requests throw
 */
export async function tagRemote(client: RemoteClient, descriptor: Descriptor, reference: string, signal?: AbortSignal): Promise<void> {
  const { repository: text, tag, digest } = parseReference(reference)
  if (tag === undefined || (digest !== undefined && digest !== descriptor.digest)) {
    throw coreError('INVALID_REFERENCE', `expected a tag for ${descriptor.digest}, found ${JSON.stringify(reference.slice(0, 200))}`)
  }
  const repository = client.repository(text)
  const found = await getManifest(client, repository, descriptor.digest, signal)
  if (found === undefined)
    throw coreError('NOT_FOUND', `${reference}: expected the repository to hold ${descriptor.digest}, found that it does not`)
  await putManifest(client, repository, tag, found.descriptor.mediaType, found.bytes, {}, signal)
}

async function pushBlob(
  client: RemoteClient,
  repository: RemoteRepository,
  descriptor: Descriptor,
  open: () => ByteStream,
  signal?: AbortSignal,
): Promise<void> {
  const { digest, size } = descriptor
  const what = `push of ${digest} to ${repository.host}/${repository.name}`
  const head = await client.call(repository, {
    method: 'HEAD',
    url: `blobs/${digest}`,
    action: 'pull,push',
    expect: [200, 404, 405],
    what,
    signal,
  })
  head.discard()
  if (head.status === 200 && (contentLengthOf(head) ?? size) === size) return
  // An upload that broke cannot be trusted to continue where we believe: it begins anew, session and bytes.
  await client.retry(() => upload(client, repository, descriptor, open, what, signal), signal)
}

/** One upload in two steps, POST then PUT. OCI distribution spec, pushing blobs. */
async function upload(
  client: RemoteClient,
  repository: RemoteRepository,
  descriptor: Descriptor,
  open: () => ByteStream,
  what: string,
  signal?: AbortSignal,
): Promise<void> {
  const { digest, size } = descriptor
  const shared = { action: 'pull,push', what, retry: false, signal } as const
  const session = await client.call(repository, {
    ...shared,
    method: 'POST',
    url: 'blobs/uploads/',
    body: { size: 0, open: () => streamOf(new Uint8Array()) },
    expect: [202],
  })
  session.discard()
  const url = client.target(session, headerOf(session, 'location'), what)
  // Appended as text: docker-registry keeps its state in the query and wants it back unchanged.
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`
  const stored = await client.call(repository, {
    ...shared,
    method: 'PUT',
    url,
    headers: { 'content-type': 'application/octet-stream' },
    body: { size, open: () => checked(open(), descriptor) },
    expect: [200, 201, 204, 404],
  })
  stored.discard()
  if (stored.status === 404)
    throw coreError('REGISTRY_UNAVAILABLE', `${what}: expected the upload to end well, found that its session was lost`)
}
