import {
  collect,
  coreError,
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestOf,
  formatReference,
  isDigest,
  manifestKind,
  manifestLimitBytes,
  mediaTypes,
  type Reference,
} from '@reflash/core'
import { checkStatedType, shownType } from '../manifest-bytes.ts'
import { fail } from '../oci-errors.ts'
import { contentLengthOf, contentTypeOf, headerOf } from './answer.ts'
import type { RemoteAnswer, RemoteClient } from './remote-client.ts'
import type { RemoteRepository } from './remote-repository.ts'

/** Always all four: docker-registry answers 404 for an OCI manifest that was not asked for by type. */
const manifestAccept = [mediaTypes.manifest, mediaTypes.index, mediaTypes.dockerManifest, mediaTypes.dockerIndex].join(', ')

/** A manifest's bytes, checked against the digest in its own descriptor. */
export interface ManifestBytes {
  readonly descriptor: Descriptor
  readonly bytes: Uint8Array
  /** For a conditional PUT, where the registry offers it. */
  readonly etag?: string
}

/**
 * Resolves a tag or digest: HEAD, and where that says too little, GET.
 * @throws `NOT_FOUND`, `MANIFEST_MISMATCH`, `NOT_A_MANIFEST`, `MEDIA_TYPE_MISMATCH`, `MANIFEST_TOO_LARGE`, and what requests throw
 */
export async function resolveRemote(client: RemoteClient, reference: Reference, signal?: AbortSignal): Promise<Descriptor> {
  const { tag, digest } = reference
  const shown = formatReference(reference)
  const name = digest ?? tag
  if (name === undefined) {
    throw coreError('INVALID_REFERENCE', `expected a tag or a digest after ${JSON.stringify(shown)}, found none; nothing is assumed`)
  }
  const repository = client.repository(reference.repository)
  // 400 and 405: registries without HEAD. 404 is an answer: whoever looks for signatures asks for tags that may not exist.
  const head = await client.call(repository, {
    method: 'HEAD',
    url: `manifests/${name}`,
    action: 'pull',
    headers: { accept: manifestAccept },
    expect: [200, 400, 405, 501],
    what: shown,
    signal,
  })
  head.discard()
  const descriptor = head.status === 200 ? headDescriptor(head, digest, shown) : undefined
  return descriptor ?? (await getManifest(client, repository, name, signal))?.descriptor ?? notFound(shown)
}

function headDescriptor(head: RemoteAnswer, wanted: Digest | undefined, shown: string): Descriptor | undefined {
  const stated = headerOf(head, 'docker-content-digest')
  const mediaType = contentTypeOf(head)
  const size = contentLengthOf(head)
  if (wanted !== undefined && stated !== undefined && isOther(stated, wanted)) {
    throw fail(
      'MANIFEST_MISMATCH',
      `${shown}: expected the registry to answer for ${wanted}, found ${JSON.stringify(stated.slice(0, 200))}`,
    )
  }
  const digest = wanted ?? stated
  if (!isDigest(digest) || size === undefined || size === 0 || manifestKind(mediaType) === undefined) return undefined
  checkSize(size, shown)
  return { mediaType, digest, size }
}

/**
 * Gets a manifest by tag or digest and checks its bytes: the digest asked for, or the one that the registry states.
 * Undefined where there is none.
 * @throws `MANIFEST_MISMATCH`, `NOT_A_MANIFEST`, `MEDIA_TYPE_MISMATCH`, `MANIFEST_TOO_LARGE`, and what requests throw
 */
export async function getManifest(
  client: RemoteClient,
  repository: RemoteRepository,
  name: string,
  signal?: AbortSignal,
): Promise<ManifestBytes | undefined> {
  const what = `${repository.host}/${repository.name}${isDigest(name) ? '@' : ':'}${name}`
  // The body is read inside the loop of retries: a connection may break after the head.
  return client.retry(async () => {
    const answer = await client.call(repository, {
      method: 'GET',
      url: `manifests/${name}`,
      action: 'pull',
      headers: { accept: manifestAccept },
      expect: [200, 404],
      what,
      retry: false,
      signal,
    })
    if (answer.status === 404) {
      answer.discard()
      return undefined
    }
    const mediaType = contentTypeOf(answer)
    if (manifestKind(mediaType) === undefined) {
      answer.discard()
      throw fail('NOT_A_MANIFEST', `${what}: expected an image manifest or index, found ${shownType(mediaType)}`)
    }
    checkSize(contentLengthOf(answer) ?? 0, what)
    const bytes = await collect(answer.body, manifestLimitBytes, what, (message) => coreError('MANIFEST_TOO_LARGE', message))
    const descriptor = describe(bytes, mediaType, isDigest(name) ? name : headerOf(answer, 'docker-content-digest'), what)
    const etag = headerOf(answer, 'etag')
    return { descriptor, bytes, ...(etag === undefined ? {} : { etag }) }
  }, signal)
}

function describe(bytes: Uint8Array, mediaType: string, expected: string | undefined, what: string): Descriptor {
  const found = digestOf(bytes, isDigest(expected) ? digestAlgorithm(expected) : 'sha256')
  if (isDigest(expected) && found !== expected) {
    throw fail('MANIFEST_MISMATCH', `${what}: expected ${expected}, found ${found}; nothing was used`, { details: { expected, found } })
  }
  checkStatedType(bytes, mediaType, what)
  return { mediaType, digest: found, size: bytes.length }
}

function isOther(stated: string, wanted: Digest): boolean {
  // docker-registry states sha256 for content that was asked for by sha512: then it says nothing about what was asked for.
  return !isDigest(stated) || (digestAlgorithm(stated) === digestAlgorithm(wanted) && stated !== wanted)
}

function checkSize(size: number, what: string): void {
  if (size > manifestLimitBytes)
    throw coreError('MANIFEST_TOO_LARGE', `${what}: expected a manifest of at most ${manifestLimitBytes} bytes, found ${size}`)
}

function notFound(what: string): never {
  throw coreError('NOT_FOUND', `${what}: expected it to exist, found no such manifest`)
}
