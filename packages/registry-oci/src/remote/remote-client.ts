import { fail } from '../oci-errors.ts'
import type { OciSettings } from '../oci-options.ts'
import { headerOf, refusalOf, shownUrl } from './answer.ts'
import { type Action, authorization, deniedError } from './authorization.ts'
import { type HttpAnswer, type HttpRequest, httpExchange } from './http-exchange.ts'
import { holdsCredentials, mayNotFollow } from './may-follow.ts'
import { type RemoteRepository, remoteRepository } from './remote-repository.ts'
import { type Retry, retrying } from './retry.ts'

/** One request to a repository of a registry. */
export interface RemoteRequest {
  readonly method: HttpRequest['method']
  /** Relative to the repository, or where the registry has pointed to. */
  readonly url: string | URL
  readonly action: Action
  /** Statuses that are an answer; every other is an error. */
  readonly expect: readonly number[]
  /** What the request is for, in error messages. */
  readonly what: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: HttpRequest['body']
  /** False where the caller has a wider loop of its own. */
  readonly retry?: boolean
  readonly signal?: AbortSignal | undefined
}

/** An answer, and which URL gave it in the end. */
export interface RemoteAnswer extends HttpAnswer {
  readonly url: URL
}

/** Requests with everything that registries need around them: authorization, redirects, retries, names for failures. */
export interface RemoteClient {
  readonly settings: OciSettings
  readonly retry: Retry
  /** @throws `INVALID_REFERENCE` */
  repository(text: string): RemoteRepository
  call(repository: RemoteRepository, request: RemoteRequest): Promise<RemoteAnswer>
  /** The URL that a header of an answer names. @throws `REGISTRY_PROTOCOL`, `UNSAFE_REDIRECT`, `REDIRECT_WITH_CREDENTIALS` */
  target(answer: RemoteAnswer, location: string | undefined, what: string): URL
  close(): Promise<void>
}

const redirectStatuses = new Set([301, 302, 303, 307, 308])
// Without leave, with a token, with a token of the scope that was missing: more tries would be guessing.
const sendings = 3

export function remoteClient(settings: OciSettings): RemoteClient {
  const { plainHttp, limits } = settings
  const exchange = httpExchange(settings)
  const leaves = authorization(exchange, settings)
  const retry = retrying(settings)

  function target(answer: RemoteAnswer, location: string | undefined, what: string): URL {
    const base = answer.url
    if (location === undefined || !URL.canParse(location, base.href)) {
      throw fail('REGISTRY_PROTOCOL', `${what}: expected ${shownUrl(base)} to say where to go on, found no URL`, {
        details: { host: base.host },
      })
    }
    const url = new URL(location, base)
    const found = `expected a place that may be followed from ${shownUrl(base)}, found ${shownUrl(url)}`
    const details = { host: base.host, to: url.host }
    if (holdsCredentials(url)) throw fail('REDIRECT_WITH_CREDENTIALS', `${what}: ${found} with credentials in it`, { details })
    const why = mayNotFollow(base, url, plainHttp)
    if (why !== undefined) throw fail('UNSAFE_REDIRECT', `${what}: ${found}: ${why}`, { details })
    return url
  }

  /** Sends and follows. Credentials are seen by the repository's own origin only, and never again once a redirect has left it. */
  async function follow(
    repository: RemoteRepository,
    request: RemoteRequest,
    leave: string | undefined,
  ): Promise<RemoteAnswer & { own: boolean }> {
    const { method, headers, body, signal, what } = request
    let url = new URL(request.url, repository.base)
    let own = url.origin === repository.base.origin
    for (let hops = 0; ; hops++) {
      const authorization = own && leave !== undefined ? { authorization: leave } : {}
      const sent: HttpRequest = { method, url, headers: { ...headers, ...authorization }, ownOrigin: own, signal }
      const answer: RemoteAnswer = { ...(await exchange.send(body === undefined ? sent : { ...sent, body })), url }
      const { status } = answer
      if (!redirectStatuses.has(status)) return { ...answer, own }
      answer.discard()
      if (hops >= limits.redirects) {
        throw fail(
          'TOO_MANY_REDIRECTS',
          `${what}: expected at most ${limits.redirects} redirects, found more; the option is limits.redirects`,
        )
      }
      // 301 to 303 may turn an upload into a GET (RFC 9110, 15.4): no registry means that.
      if (method !== 'GET' && method !== 'HEAD' && status !== 307 && status !== 308) {
        throw fail('REGISTRY_PROTOCOL', `${what}: expected ${method} to be redirected by 307 or 308, found ${status} from ${shownUrl(url)}`)
      }
      url = target(answer, headerOf(answer, 'location'), what)
      own = own && url.origin === repository.base.origin
    }
  }

  async function authorised(repository: RemoteRepository, request: RemoteRequest): Promise<RemoteAnswer> {
    let leave = leaves.known(repository, request.action)
    for (let sending = 1; ; sending++) {
      const answer = await follow(repository, request, leave)
      if (answer.status !== 401) return answer
      answer.discard()
      // A storage server that refuses is not the registry asking for credentials: it must not be able to fetch any.
      if (!answer.own) throw askedElsewhere(repository, answer, request.what)
      const next = sending < sendings ? await leaves.renew(repository, request.action, answer, leave, request.signal) : undefined
      if (next === undefined || next === leave) throw deniedError(repository, answer, leave !== undefined)
      leave = next
    }
  }

  async function once(repository: RemoteRepository, request: RemoteRequest): Promise<RemoteAnswer> {
    const answer = await authorised(repository, request)
    if (request.expect.includes(answer.status)) return answer
    throw await refusalOf(answer, answer.url, request.what)
  }

  return Object.freeze({
    settings,
    retry,
    target,
    repository: (text: string) => remoteRepository(text, plainHttp),
    call: (repository: RemoteRepository, request: RemoteRequest) =>
      request.retry === false ? once(repository, request) : retry(() => once(repository, request), request.signal),
    close: () => exchange.close(),
  })
}

function askedElsewhere({ base }: RemoteRepository, { url }: RemoteAnswer, what: string): Error {
  const found = `found that ${shownUrl(url)} asks for some, where the registry had sent us; it gets none`
  return fail('CREDENTIALS_ELSEWHERE', `${what}: expected ${base.host} alone to ask for credentials, ${found}`, {
    details: { status: 401, host: base.host, to: url.host },
  })
}
