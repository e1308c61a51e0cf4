import { type ByteStream, checked, coreError, type Descriptor, isOtaError, manifestKind, streamOf } from '@reflash/core'
import { exactly, wrongSize } from '../exactly.ts'
import { fail } from '../oci-errors.ts'
import { contentLengthOf, headerOf, shownUrl } from './answer.ts'
import type { RemoteAnswer, RemoteClient } from './remote-client.ts'
import type { RemoteRepository } from './remote-repository.ts'
import { getManifest } from './resolve-remote.ts'

/** A shaky line drops some times in a firmware image; a registry that sends one byte per connection is not kept company. */
const resumeLimit = 16

/**
 * The bytes of a manifest or blob from `offset` on. A whole one is checked for size and digest before its last chunk is passed on; of a
 * part only the size can be checked. A broken connection is taken up again where it broke.
 * @throws `NOT_FOUND`, `INVALID_RANGE`, `TRUNCATED`, `TRAILING_BYTES`, `DIGEST_MISMATCH`, `CONTENT_ENCODED`; for a manifest what
 * `getManifest` throws, and `SIZE_MISMATCH`; and what requests throw
 */
export async function fetchRemote(
  client: RemoteClient,
  repository: RemoteRepository,
  descriptor: Descriptor,
  { offset = 0, signal }: { readonly offset?: number; readonly signal?: AbortSignal } = {},
): Promise<ByteStream> {
  const { digest, size, mediaType } = descriptor
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > size) {
    throw coreError('INVALID_RANGE', `${digest}: expected an offset from 0 to ${size}, found ${offset}`)
  }
  if (manifestKind(mediaType) !== undefined) return streamOf((await wholeManifest(client, repository, descriptor, signal)).subarray(offset))
  if (offset === size && size > 0) return streamOf(new Uint8Array())
  const first = await openBlob(client, repository, descriptor, offset, signal)
  const blob = resumed(client, repository, descriptor, offset, first, signal)
  return offset === 0 ? checked(blob, descriptor, signal === undefined ? {} : { signal }) : exactly(blob, size - offset, digest)
}

async function wholeManifest(
  client: RemoteClient,
  repository: RemoteRepository,
  descriptor: Descriptor,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const found = await getManifest(client, repository, descriptor.digest, signal)
  const what = `${repository.host}/${repository.name}@${descriptor.digest}`
  if (found === undefined) throw coreError('NOT_FOUND', `${what}: expected it to exist, found no such manifest`)
  if (found.bytes.length !== descriptor.size) {
    throw coreError('SIZE_MISMATCH', `${what}: expected ${descriptor.size} bytes, found ${found.bytes.length}; nothing was used`)
  }
  if (found.descriptor.mediaType !== descriptor.mediaType) {
    throw fail('MEDIA_TYPE_MISMATCH', `${what}: expected ${descriptor.mediaType}, found that it is served as ${found.descriptor.mediaType}`)
  }
  return found.bytes
}

/** Starts a download at `offset`; what the answer sends before it is skipped. */
async function openBlob(
  client: RemoteClient,
  repository: RemoteRepository,
  { digest, size }: Descriptor,
  offset: number,
  signal?: AbortSignal,
) {
  const what = `${repository.host}/${repository.name}@${digest}`
  const answer = await client.call(repository, {
    method: 'GET',
    url: `blobs/${digest}`,
    action: 'pull',
    headers: { accept: '*/*', ...(offset === 0 ? {} : { range: `bytes=${offset}-` }) },
    expect: offset === 0 ? [200] : [200, 206, 416],
    what,
    signal,
  })
  try {
    const start = startOf(answer, offset, size, what)
    return skipped(answer.body, offset - start)
  } catch (error) {
    answer.discard()
    throw error
  }
}

/** Which byte of the blob an answer begins with. RFC 9110, 14.4. */
function startOf(answer: RemoteAnswer, offset: number, size: number, what: string): number {
  const encoding = headerOf(answer, 'content-encoding')
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw fail('CONTENT_ENCODED', `${what}: expected the bytes as they are, found them encoded at ${shownUrl(answer.url)}`)
  }
  if (answer.status === 416) throw wrongSize(what, size, offset, `that ${shownUrl(answer.url)} has no byte ${offset}`)
  const length = contentLengthOf(answer)
  if (answer.status === 200) {
    // A registry without ranges sends all.
    if (length !== undefined && length !== size) throw wrongSize(what, size, length)
    return 0
  }
  const range = /^bytes ([0-9]{1,16})-([0-9]{1,16})\/(?:([0-9]{1,16})|\*)$/.exec(headerOf(answer, 'content-range') ?? '')
  if (range === null || Number(range[1]) !== offset || Number(range[2]) !== size - 1) {
    throw fail('REGISTRY_PROTOCOL', `${what}: expected bytes ${offset}-${size - 1}/${size}, found another range at ${shownUrl(answer.url)}`)
  }
  if (range[3] !== undefined && Number(range[3]) !== size) throw wrongSize(what, size, Number(range[3]))
  return offset
}

async function* skipped(body: ByteStream, bytes: number): ByteStream {
  let left = bytes
  for await (const chunk of body) {
    if (left >= chunk.length) left -= chunk.length
    else {
      yield left === 0 ? chunk : chunk.subarray(left)
      left = 0
    }
  }
}

/** Passes a download on and, where the connection breaks, opens it again at the byte that comes next. */
async function* resumed(
  client: RemoteClient,
  repository: RemoteRepository,
  descriptor: Descriptor,
  offset: number,
  first: ByteStream,
  signal: AbortSignal | undefined,
): ByteStream {
  const { attempts } = client.settings.limits
  let at = offset
  let stream = first
  for (let breaks = 1, barren = 1; ; breaks++) {
    const began = at
    try {
      for await (const chunk of stream) {
        at += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      const broken = isOtaError(error) && (error.code === 'REGISTRY_UNAVAILABLE' || error.code === 'REGISTRY_SILENT')
      barren = at > began ? 1 : barren + 1
      if (!broken || breaks > resumeLimit || barren > attempts || at >= descriptor.size) throw error
    }
    stream = await openBlob(client, repository, descriptor, at, signal)
  }
}
