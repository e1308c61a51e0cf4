import { collect, isOtaError, throwIfAborted } from '@reflash/core'
import { fail } from '../oci-errors.ts'
import type { OciCredentials, OciSettings } from '../oci-options.ts'
import { refusalOf, shownUrl } from './answer.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { HttpAnswer, HttpExchange } from './http-exchange.ts'
import { mayNotFollow } from './may-follow.ts'
import type { RemoteRepository } from './remote-repository.ts'

export type Action = 'pull' | 'pull,push'

/** The value of an Authorization header, and on a monotonic clock when it is no longer used. */
interface Leave {
  readonly header: string
  readonly until: number
}

/** Keeps what a registry wants to see: tokens per origin, repository and action, and Basic credentials per origin. */
export interface Authorization {
  /** What worked before, where it still holds. */
  known(repository: RemoteRepository, action: Action): string | undefined
  /** Answers a 401 to a request that was sent with `used`. Undefined where nothing better can be had. */
  renew(
    repository: RemoteRepository,
    action: Action,
    refusal: HttpAnswer,
    used: string | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined>
}

// Token servers answer some kilobytes; a JWT with a certificate chain is the largest seen.
const tokenAnswerLimit = 65_536
const tokenLimit = 16_384
// Distribution spec of tokens: 60 seconds where expires_in is absent.
const defaultLifetimeSeconds = 60
// A token is dropped this long before it ends, or after half of a short life: a request takes time to arrive.
const skewSeconds = 10
// Entries; one per repository and action that a server uses.
const cacheLimit = 1024
const scopeLimit = 8

export function authorization(exchange: HttpExchange, { credentials, clock, plainHttp }: OciSettings): Authorization {
  const tokens = new Map<string, Leave>()
  const basic = new Map<string, string>()
  /** A thousand devices that ask at once must not make a thousand token requests. */
  const running = new Map<string, Promise<string>>()

  function known(repository: RemoteRepository, action: Action): string | undefined {
    const key = tokenKey(repository, action)
    const token = tokens.get(key)
    if (token !== undefined && token.until > clock.now()) return token.header
    tokens.delete(key)
    return basic.get(repository.base.origin)
  }

  async function renew(
    repository: RemoteRepository,
    action: Action,
    refusal: HttpAnswer,
    used: string | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const challenges = parseChallenges(refusal.headers['www-authenticate'])
    const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'))
    const now = known(repository, action)
    // Another request has renewed meanwhile. Not so where this token was refused: then it lacks a scope.
    if (now !== undefined && now !== used) return now
    tokens.delete(tokenKey(repository, action))
    if (bearer !== undefined) return bearerToken(repository, action, bearer, signal)
    if (!challenges.some(({ scheme }) => scheme === 'basic')) return undefined
    const given = await ask(repository)
    if (given === undefined) return undefined
    basic.delete(repository.base.origin)
    remember(basic, repository.base.origin, basicHeader(given))
    return basicHeader(given)
  }

  async function ask({ host }: RemoteRepository): Promise<OciCredentials | undefined> {
    let given: OciCredentials | undefined
    try {
      given = await credentials(host)
    } catch (cause) {
      if (isOtaError(cause)) throw cause
      throw fail('REGISTRY_DENIED', `${host}: expected the credentials option to answer, found that it failed`, {
        cause,
        details: { host },
      })
    }
    if (given === undefined || given === null) return undefined
    const { username, password } = given
    // RFC 7617, 2: no colon in the name, no control characters at all.
    if (!isText(username) || username.includes(':') || !isText(password)) {
      const found = 'found something else'
      throw fail('REGISTRY_DENIED', `${host}: expected { username, password } without control characters, ${found}`, { details: { host } })
    }
    return given
  }

  async function bearerToken(repository: RemoteRepository, action: Action, challenge: Challenge, signal?: AbortSignal): Promise<string> {
    const url = tokenUrl(repository, action, challenge)
    const why = mayNotFollow(repository.base, url, plainHttp)
    if (why !== undefined) {
      throw fail('UNSAFE_TOKEN_REALM', `${repository.host}: expected a token realm that may be followed, found ${shownUrl(url)}: ${why}`)
    }
    const key = `${tokenKey(repository, action)} ${url}`
    const request = running.get(key) ?? requestToken(repository, action, url).finally(() => running.delete(key))
    running.set(key, request)
    return unlessAborted(request, signal)
  }

  // Not under the signal of one caller: others wait for the same token. The time bounds of the exchange end it.
  async function requestToken(repository: RemoteRepository, action: Action, url: URL): Promise<string> {
    // A realm on another host is the rule (auth.docker.io). It learns the credentials, over https or on this machine: they are those
    // that the user gave for this registry, which could as well have asked for them itself.
    const given = await ask(repository)
    if (given !== undefined) url.searchParams.set('account', given.username)
    const answer = await exchange.send({
      method: 'GET',
      url,
      headers: { accept: 'application/json', ...(given === undefined ? {} : { authorization: basicHeader(given) }) },
      ownOrigin: url.origin === repository.base.origin,
    })
    // Redirects of a token server are not followed: credentials are at stake.
    if (answer.status !== 200) throw await refusalOf(answer, url, `token for ${repository.host}/${repository.name}`)
    const bytes = await collect(answer.body, tokenAnswerLimit, `token from ${url.origin}`, (message) => fail('TOKEN_TOO_LARGE', message))
    const leave = parseToken(bytes, url, clock.now())
    remember(tokens, tokenKey(repository, action), leave)
    return leave.header
  }

  return Object.freeze({ known, renew })
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  let leave = (): void => {}
  const gone = new Promise<void>((resolve) => {
    leave = resolve
    signal.addEventListener('abort', leave, { once: true })
  })
  try {
    throwIfAborted(signal)
    await Promise.race([work, gone])
    throwIfAborted(signal)
    return await work
  } finally {
    signal.removeEventListener('abort', leave)
    // The others hear of a failure; here nobody listens any more.
    work.catch(() => {})
  }
}

function tokenKey({ base, name }: RemoteRepository, action: Action): string {
  return `${base.origin} repository:${name}:${action}`
}

/** Docker registry token specification: realm?service=...&scope=...&scope=... @throws `REGISTRY_PROTOCOL` */
export function tokenUrl({ host, name }: RemoteRepository, action: Action, { parameters }: Challenge): URL {
  const realm = parameters.get('realm') ?? ''
  if (!URL.canParse(realm)) throw fail('REGISTRY_PROTOCOL', `${host}: expected a token realm that is a URL, found something else`)
  const url = new URL(realm)
  const service = parameters.get('service')
  if (service !== undefined) url.searchParams.set('service', service)
  // Our own scope always: one token then serves every later request for this repository and action.
  const own = `repository:${name}:${action}`
  const asked = (parameters.get('scope') ?? '').split(/[ \t]+/).filter((scope) => scope !== '' && !isWithin(scope, own))
  for (const scope of new Set([...asked.slice(0, scopeLimit), own])) url.searchParams.append('scope', scope)
  return url
}

/** Whether a scope asks for nothing beyond another: `repository:a:pull` is within `repository:a:pull,push`. */
function isWithin(scope: string, wide: string): boolean {
  const [what, actions] = parted(scope)
  const [wideWhat, wideActions] = parted(wide)
  return what === wideWhat && actions.every((action) => wideActions.includes(action))
}

function parted(scope: string): readonly [string, readonly string[]] {
  const end = scope.lastIndexOf(':')
  return [scope.slice(0, Math.max(end, 0)), scope.slice(end + 1).split(',')]
}

/**
 * Reads the answer of a token server. Docker registry token specification: { token | access_token, expires_in } in JSON, seconds.
 * @throws `REGISTRY_PROTOCOL`
 */
export function parseToken(bytes: Uint8Array, url: URL, now: number): Leave {
  return leaveOf(tokenDocument(bytes, url), url, now)
}

function tokenDocument(bytes: Uint8Array, url: URL): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    // Without the cause: a JSON error quotes the text, and the text may be a token.
    throw fail('REGISTRY_PROTOCOL', `${shownUrl(url)}: expected a token in JSON, found something else`)
  }
}

function leaveOf(document: unknown, url: URL, now: number): Leave {
  const { token, access_token, expires_in } = (document ?? {}) as Readonly<Record<string, unknown>>
  const value = token ?? access_token
  if (typeof value !== 'string' || value.length > tokenLimit || !/^[\x21-\x7e]+$/.test(value)) {
    throw fail('REGISTRY_PROTOCOL', `${shownUrl(url)}: expected { token, expires_in }, found no token that can be sent`)
  }
  const lifetime = typeof expires_in === 'number' && expires_in > 0 ? expires_in : defaultLifetimeSeconds
  return { header: `Bearer ${value}`, until: now + Math.max(lifetime - skewSeconds, lifetime / 2) * 1000 }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && !/\p{Cc}/u.test(value)
}

function basicHeader({ username, password }: OciCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  const oldest = map.size >= cacheLimit ? map.keys().next().value : undefined
  if (oldest !== undefined) map.delete(oldest)
  map.set(key, value)
}

/** The 401 that ends a dance, in the words of what was missing. */
export function deniedError(repository: RemoteRepository, refusal: HttpAnswer, sent: boolean): Error {
  const { host, name } = repository
  const schemes = parseChallenges(refusal.headers['www-authenticate']).map(({ scheme }) => scheme)
  const wanted = schemes.length === 0 ? 'no challenge' : `a challenge for ${[...new Set(schemes)].slice(0, 4).join(' or ')}`
  const found = sent ? 'that the registry refused them (401)' : `none, and ${wanted} (401)`
  return fail('REGISTRY_DENIED', `${host}/${name}: expected credentials that open this repository, found ${found}`, {
    details: { status: 401, host },
  })
}
