import { collect, type Descriptor, manifestKind, manifestLimitBytes, mediaTypes, parseIndex } from '@reflash/core'
import { artifactTypeOf, manifestDocument } from '../manifest-bytes.ts'
import { fail } from '../oci-errors.ts'
import { contentTypeOf, shownUrl } from './answer.ts'
import { nextPage } from './list-tags.ts'
import { readReferrersTag } from './referrers-tag.ts'
import type { RemoteClient } from './remote-client.ts'
import type { RemoteRepository } from './remote-repository.ts'
import { getManifest } from './resolve-remote.ts'

interface Page {
  readonly manifests: readonly Descriptor[]
  readonly next: URL | undefined
}

/**
 * Manifests that name `subject`, from the registry's list or, where it keeps none, from the tag schema. The filter is applied here
 * whatever OCI-Filters-Applied says. An entry without artifact type is looked up: what a registry leaves out or makes up
 * (go-containerregistry states the config's type) decides nothing.
 * @throws `TOO_MANY_REFERRERS`, `PAGES_LOOP`, `FOREIGN_PAGE`, `NOT_A_MANIFEST`, and what requests throw
 */
export async function* listReferrers(
  client: RemoteClient,
  repository: RemoteRepository,
  subject: Descriptor,
  { artifactType, signal }: { readonly artifactType?: string; readonly signal?: AbortSignal } = {},
): AsyncIterable<Descriptor> {
  const limit = client.settings.limits.referrers
  const what = `referrers of ${repository.host}/${repository.name}@${subject.digest}`
  let listed = 0
  for await (const page of pagesOf(client, repository, subject, artifactType, what, signal)) {
    for (const entry of page.manifests) {
      if (++listed > limit)
        throw fail('TOO_MANY_REFERRERS', `${what}: expected at most ${limit}, found more; the option is limits.referrers`)
      const typed = needsLookup(entry) ? await lookedUp(client, repository, subject, entry, signal) : entry
      if (typed === undefined) continue
      if (artifactType === undefined || typed.artifactType === artifactType) yield typed
    }
  }
}

async function* pagesOf(
  client: RemoteClient,
  repository: RemoteRepository,
  subject: Descriptor,
  artifactType: string | undefined,
  what: string,
  signal: AbortSignal | undefined,
): AsyncIterable<Page> {
  const first = new URL(`referrers/${subject.digest}`, repository.base)
  if (artifactType !== undefined) first.searchParams.set('artifactType', artifactType)
  const { tagPages } = client.settings.limits
  const pages = new Set<string>()
  for (let url: URL | undefined = first; url !== undefined; ) {
    if (pages.has(url.href)) throw fail('PAGES_LOOP', `${what}: expected the next page, found one that was read before: ${shownUrl(url)}`)
    if (pages.size >= tagPages)
      throw fail('TOO_MANY_REFERRERS', `${what}: expected at most ${tagPages} pages, found more; the option is limits.tagPages`)
    pages.add(url.href)
    const page: Page | undefined = await getPage(client, repository, url, what, signal)
    if (page === undefined) {
      yield { manifests: await readReferrersTag(client, repository, subject.digest, signal), next: undefined }
      return
    }
    yield page
    url = page.next
  }
}

/** Undefined where the registry has no list of referrers. */
async function getPage(
  client: RemoteClient,
  repository: RemoteRepository,
  url: URL,
  what: string,
  signal?: AbortSignal,
): Promise<Page | undefined> {
  return client.retry(async () => {
    const answer = await client.call(repository, {
      method: 'GET',
      url,
      action: 'pull',
      headers: { accept: mediaTypes.index },
      // 404 by the specification; the others are what registries answer to a path that they do not know.
      expect: [200, 400, 404, 405, 501],
      what,
      retry: false,
      signal,
    })
    if (answer.status !== 200) {
      answer.discard()
      return undefined
    }
    if (contentTypeOf(answer) !== mediaTypes.index) {
      answer.discard()
      throw fail('NOT_A_MANIFEST', `${what}: expected ${mediaTypes.index}, found ${JSON.stringify(contentTypeOf(answer).slice(0, 200))}`)
    }
    const next = nextPage(client, answer, what)
    const { manifests } = parseIndex(
      await collect(answer.body, manifestLimitBytes, what, (message) => fail('TOO_MANY_REFERRERS', message)),
      mediaTypes.index,
    )
    return { manifests, next }
  }, signal)
}

function needsLookup({ artifactType, mediaType }: Descriptor): boolean {
  return manifestKind(mediaType) !== undefined && (artifactType === undefined || artifactType === mediaTypes.empty)
}

/** The entry with the type that its manifest states; undefined where the manifest is gone or names another subject. */
async function lookedUp(client: RemoteClient, repository: RemoteRepository, subject: Descriptor, entry: Descriptor, signal?: AbortSignal) {
  const found = await getManifest(client, repository, entry.digest, signal)
  if (found === undefined) return undefined
  const document = manifestDocument(found.bytes, found.descriptor.mediaType)
  if (document.subject?.digest !== subject.digest) return undefined
  const artifactType = artifactTypeOf(document)
  return { ...entry, ...(artifactType === undefined ? {} : { artifactType }), annotations: entry.annotations ?? document.annotations }
}
