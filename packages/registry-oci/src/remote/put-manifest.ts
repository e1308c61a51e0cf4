import { coreError, digestAlgorithm, isDigest, isOtaError, streamOf } from '@reflash/core'
import { headerOf } from './answer.ts'
import type { RemoteAnswer, RemoteClient, RemoteRequest } from './remote-client.ts'
import type { RemoteRepository } from './remote-repository.ts'

/** Tries, and pauses between them, for a registry that does not yet see the blobs which it has just taken. */
const settleTries = 4
const settlePauseMs = 100

/** PUT manifests/<name>. @throws `REGISTRY_REFUSED`, `DIGEST_MISMATCH` where the registry stored something else */
export async function putManifest(
  client: RemoteClient,
  repository: RemoteRepository,
  name: string,
  mediaType: string,
  bytes: Uint8Array,
  headers: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<RemoteAnswer> {
  const what = `push to ${repository.host}/${repository.name}${isDigest(name) ? '@' : ':'}${name}`
  const answer = await putSettled(
    client,
    repository,
    {
      method: 'PUT',
      url: `manifests/${name}`,
      action: 'pull,push',
      headers: { 'content-type': mediaType, ...headers },
      body: { size: bytes.length, open: () => streamOf(bytes) },
      expect: headers['if-match'] === undefined ? [200, 201] : [200, 201, 412],
      what,
      signal,
    },
    signal,
  )
  answer.discard()
  const stated = headerOf(answer, 'docker-content-digest')
  if (isDigest(name) && isDigest(stated) && digestAlgorithm(stated) === digestAlgorithm(name) && stated !== name) {
    throw coreError('DIGEST_MISMATCH', `${what}: expected the registry to store ${name}, found that it stored ${stated}`)
  }
  return answer
}

/**
 * docker-registry 2.8.2 rewrites the link to a blob at each push of it, and for a moment says MANIFEST_BLOB_UNKNOWN to whoever else relies on
 * it; registries on object stores do so until their replicas agree. A blob that is really missing stays missing.
 */
async function putSettled(
  client: RemoteClient,
  repository: RemoteRepository,
  request: RemoteRequest,
  signal?: AbortSignal,
): Promise<RemoteAnswer> {
  const { clock, random } = client.settings
  for (let tries = 1; ; tries++) {
    try {
      return await client.call(repository, request)
    } catch (error) {
      const codes = isOtaError(error) && error.code === 'REGISTRY_REFUSED' ? error.details.codes : undefined
      if (!Array.isArray(codes) || !codes.includes('MANIFEST_BLOB_UNKNOWN') || tries >= settleTries) throw error
      await clock.sleep(settlePauseMs * 2 ** tries * (0.5 + random()), signal)
    }
  }
}
