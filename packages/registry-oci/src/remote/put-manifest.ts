import { coreError, digestAlgorithm, isDigest, streamOf } from '@reflash/core'
import { headerOf } from './answer.ts'
import type { RemoteAnswer, RemoteClient } from './remote-client.ts'
import type { RemoteRepository } from './remote-repository.ts'

/** PUT manifests/<name>. @throws `DIGEST_MISMATCH` where the registry stored something else */
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
  const answer = await client.call(repository, {
    method: 'PUT',
    url: `manifests/${name}`,
    action: 'pull,push',
    headers: { 'content-type': mediaType, ...headers },
    body: { size: bytes.length, open: () => streamOf(bytes) },
    expect: headers['if-match'] === undefined ? [200, 201] : [200, 201, 412],
    what,
    signal,
  })
  answer.discard()
  const stated = headerOf(answer, 'docker-content-digest')
  if (isDigest(name) && isDigest(stated) && digestAlgorithm(stated) === digestAlgorithm(name) && stated !== name) {
    throw coreError('DIGEST_MISMATCH', `${what}: expected the registry to store ${name}, found that it stored ${stated}`)
  }
  return answer
}
