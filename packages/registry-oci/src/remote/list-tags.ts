import { collect, coreError, manifestLimitBytes } from '@reflash/core'
import { fail } from '../oci-errors.ts'
import { tagPattern } from '../tag-pattern.ts'
import { shownUrl } from './answer.ts'
import { nextLink } from './link.ts'
import type { RemoteAnswer, RemoteClient } from './remote-client.ts'
import type { RemoteRepository } from './remote-repository.ts'

/**
 * Every tag once, in no order that means anything. Names that are no tags are left out: nobody could ask for them.
 * @throws `NOT_FOUND`, `TOO_MANY_TAGS`, `PAGES_LOOP`, `FOREIGN_PAGE`, `REGISTRY_PROTOCOL`, and what requests throw
 */
export async function* listTags(client: RemoteClient, repository: RemoteRepository, signal?: AbortSignal): AsyncIterable<string> {
  const { tags: tagLimit, tagPages } = client.settings.limits
  const what = `tags of ${repository.host}/${repository.name}`
  const seen = new Set<string>()
  const pages = new Set<string>()
  // No `n`: registries refuse a page size that is too large for them, each at another number.
  for (let url: URL | undefined = new URL('tags/list', repository.base); url !== undefined; ) {
    if (pages.has(url.href)) throw fail('PAGES_LOOP', `${what}: expected the next page, found one that was read before: ${shownUrl(url)}`)
    if (pages.size >= tagPages)
      throw coreError('TOO_MANY_TAGS', `${what}: expected at most ${tagPages} pages, found more; the option is limits.tagPages`)
    pages.add(url.href)
    const page = await getPage(client, repository, url, what, signal)
    for (const tag of page.tags) {
      if (seen.has(tag)) continue
      if (seen.size >= tagLimit)
        throw coreError('TOO_MANY_TAGS', `${what}: expected at most ${tagLimit} tags, found more; the option is limits.tags`)
      seen.add(tag)
      yield tag
    }
    url = page.next
  }
}

async function getPage(client: RemoteClient, repository: RemoteRepository, url: URL, what: string, signal?: AbortSignal) {
  return client.retry(async () => {
    const answer = await client.call(repository, {
      method: 'GET',
      url,
      action: 'pull',
      headers: { accept: 'application/json' },
      expect: [200],
      what,
      retry: false,
      signal,
    })
    const next = nextPage(client, answer, what)
    const bytes = await collect(answer.body, manifestLimitBytes, `a page of ${what}`, (message) => coreError('TOO_MANY_TAGS', message))
    return { tags: parseTags(bytes, what), next }
  }, signal)
}

/** The next page of a list, on the same origin: it is asked for with our credentials. @throws `FOREIGN_PAGE`, `REGISTRY_PROTOCOL`, `UNSAFE_REDIRECT` */
export function nextPage(client: RemoteClient, answer: RemoteAnswer, what: string): URL | undefined {
  const link = nextLink(answer.headers.link)
  if (link === undefined) return undefined
  const url = client.target(answer, link, what)
  if (url.origin !== answer.url.origin) {
    throw fail('FOREIGN_PAGE', `${what}: expected the next page at ${answer.url.origin}, found it at ${url.origin}`)
  }
  return url
}

/** Reads one page of a list of tags. @throws `REGISTRY_PROTOCOL` */
export function parseTags(bytes: Uint8Array, what: string): readonly string[] {
  let document: unknown
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw fail('REGISTRY_PROTOCOL', `${what}: expected JSON, found ${bytes.length} bytes that are not`, { cause })
  }
  const tags = (document as { tags?: unknown } | null)?.tags
  // docker-registry writes null for a repository whose tags were all deleted.
  if (tags === null) return []
  if (!Array.isArray(tags)) throw fail('REGISTRY_PROTOCOL', `${what}: expected { tags: [...] }, found no list`)
  return tags.filter((tag): tag is string => typeof tag === 'string' && tagPattern.test(tag))
}
