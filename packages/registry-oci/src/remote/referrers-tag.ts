import {
  coreError,
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestHex,
  type ImageIndex,
  manifestLimitBytes,
  mediaTypes,
  parseIndex,
} from '@reflash/core'
import { inTurn } from '../in-turn.ts'
import { type ManifestDocument, referrerDescriptor } from '../manifest-bytes.ts'
import { fail } from '../oci-errors.ts'
import { putManifest } from './put-manifest.ts'
import type { RemoteClient } from './remote-client.ts'
import type { RemoteRepository } from './remote-repository.ts'
import { getManifest, type ManifestBytes } from './resolve-remote.ts'

/** Rounds of read, write and read again until an entry stands; other writers get between at most a few times. */
const rounds = 5

/** OCI distribution spec, referrers tag schema: algorithm cut at 32 characters, hex at 64. */
function referrersTag(subject: Digest): string {
  return `${digestAlgorithm(subject)}-${digestHex(subject).slice(0, 64)}`
}

/** The referrers that the tag schema lists; empty where the tag does not exist. */
export async function readReferrersTag(
  client: RemoteClient,
  repository: RemoteRepository,
  subject: Digest,
  signal?: AbortSignal,
): Promise<readonly Descriptor[]> {
  return (await readTag(client, repository, subject, signal))?.index.manifests ?? []
}

/**
 * Adds a manifest to the list of referrers that clients keep under a tag where the registry keeps none. Registries offer no lock: after the
 * write it is read again, and written again where another writer came between.
 * @throws `REGISTRY_UNAVAILABLE` where others always come between, and what requests throw
 */
export async function addToReferrersTag(
  client: RemoteClient,
  repository: RemoteRepository,
  subject: Digest,
  descriptor: Descriptor,
  document: ManifestDocument,
  signal?: AbortSignal,
): Promise<void> {
  const tag = referrersTag(subject)
  const { clock, random, limits } = client.settings
  await inTurn(`${repository.base} ${tag}`, async () => {
    for (let round = 1; round <= rounds; round++) {
      const before = await readTag(client, repository, subject, signal)
      if (before?.index.manifests.some(({ digest }) => digest === descriptor.digest)) return
      if ((before?.index.manifests.length ?? 0) >= limits.referrers) {
        throw fail(
          'REGISTRY_REFUSED',
          `${repository.host}/${repository.name}:${tag}: expected fewer than ${limits.referrers} referrers, found more`,
        )
      }
      if (round > 1) await clock.sleep(random() * 100 * round, signal)
      const bytes = withEntry(before?.bytes, referrerDescriptor(descriptor, document))
      const condition = before?.etag === undefined ? {} : { 'if-match': before.etag }
      await putManifest(client, repository, tag, mediaTypes.index, bytes, condition, signal)
    }
    const after = await readTag(client, repository, subject, signal)
    if (after?.index.manifests.some(({ digest }) => digest === descriptor.digest)) return
    throw coreError(
      'REGISTRY_UNAVAILABLE',
      `${repository.host}/${repository.name}:${tag}: expected to add a referrer, found other writers ${rounds} times`,
    )
  })
}

async function readTag(
  client: RemoteClient,
  repository: RemoteRepository,
  subject: Digest,
  signal?: AbortSignal,
): Promise<(ManifestBytes & { readonly index: ImageIndex }) | undefined> {
  const found = await getManifest(client, repository, referrersTag(subject), signal)
  return found === undefined ? undefined : { ...found, index: parseIndex(found.bytes, found.descriptor.mediaType) }
}

/** Adds to the document as it stands, so that what other clients wrote into it stays. */
function withEntry(before: Uint8Array | undefined, entry: Descriptor): Uint8Array {
  const document =
    before === undefined ? { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [] } : JSON.parse(new TextDecoder().decode(before))
  const bytes = new TextEncoder().encode(JSON.stringify({ ...document, manifests: [...document.manifests, entry] }))
  if (bytes.length > manifestLimitBytes) {
    throw fail('TOO_MANY_REFERRERS', `list of referrers: expected at most ${manifestLimitBytes} bytes, found ${bytes.length}`)
  }
  return bytes
}
