import type { ServeContext } from '@reflash/core'
import { authenticate } from './authenticate.ts'
import { closeHttpBody } from './body.ts'
import { fail } from './http-errors.ts'
import type { HttpRequest, HttpResponse } from './http-message.ts'
import { type HttpLimits, httpLimits } from './limits.ts'
import type { Dialect, DialectContext, Route } from './protocol/dialect.ts'
import { hawkbitDialect } from './protocol/hawkbit-ddi/hawkbit-dialect.ts'
import { healthRoute } from './protocol/health.ts'
import { nativeDialect } from './protocol/native/native-dialect.ts'
import { otafluxDialect } from './protocol/otaflux/otaflux-dialect.ts'
import type { OnRequest } from './request-record.ts'
import { createRouter } from './router.ts'
import { refuseAsJson } from './status-of.ts'

/** What the transport and the handler share. */
export interface HttpServiceOptions {
  /** The ways to speak that are served; `native` and `otaflux` where absent. An object is {@link hawkbitDialect}'s, or a dialect of your own. */
  readonly dialects?: readonly ('native' | 'otaflux' | 'hawkbit' | Dialect)[]
  /** What every path begins with, such as `/ota`; nothing where absent. */
  readonly prefix?: string
  /** What precedes `/v1/...` in the URLs that devices are told: a path or an absolute URL; `prefix` where absent. */
  readonly baseUrl?: string
  readonly limits?: Partial<HttpLimits>
  /** Gets one record per request; never a token. */
  readonly onRequest?: OnRequest
}

/** Answers requests; knows nothing of sockets. */
export interface HttpService {
  readonly limits: HttpLimits
  readonly onRequest: OnRequest | undefined
  /** Never rejects: an error is an answer in the words of the route's dialect. */
  answer(request: HttpRequest): Promise<HttpResponse>
  /** The answer that stands for an error which came after the route had answered, before a byte was sent. */
  refuse(request: HttpRequest, error: unknown): HttpResponse
  /** Whether a path is one of this service's. */
  handles(path: string): boolean
  /** Resolves once everything that follows an answer (an update's end, say) is done: what it needs may be closed then. */
  settled(): Promise<void>
}

/** Checked options; what `createHttpService` starts from. */
export interface CheckedOptions {
  readonly dialects: readonly Dialect[]
  readonly prefix: string
  readonly baseUrl: string
  readonly limits: HttpLimits
  readonly onRequest: OnRequest | undefined
}

const known: Readonly<Record<string, Dialect>> = { native: nativeDialect, otaflux: otafluxDialect, hawkbit: hawkbitDialect() }

/** @throws `INVALID_OPTION` */
export function checkServiceOptions(options: HttpServiceOptions): CheckedOptions {
  const { dialects = ['native', 'otaflux'], prefix = '', baseUrl = prefix, onRequest } = options
  if (!Array.isArray(dialects) || dialects.length === 0) throw fail('INVALID_OPTION', 'dialects: expected at least one, found none')
  const spoken = dialects.map((dialect: unknown) => (isDialect(dialect) ? dialect : knownDialect(dialect)))
  if (typeof prefix !== 'string' || !/^(?:\/[A-Za-z0-9._~-]+)*$/.test(prefix)) {
    throw fail('INVALID_OPTION', `prefix: expected nothing or a path such as /ota without a slash at its end, found ${shown(prefix)}`)
  }
  if (typeof baseUrl !== 'string' || /[?#\s]|\/$/.test(baseUrl) || !/^(?:https?:\/\/[^/]|\/[^/]|$)/.test(baseUrl)) {
    throw fail('INVALID_OPTION', 'baseUrl: expected a path or an http(s) URL without query and without a slash at its end, found another')
  }
  if (onRequest !== undefined && typeof onRequest !== 'function') throw fail('INVALID_OPTION', 'onRequest: expected a function')
  return { dialects: spoken, prefix, baseUrl, limits: httpLimits(options.limits), onRequest }
}

function isDialect(value: unknown): value is Dialect {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Dialect>).routes === 'function'
}

function knownDialect(name: unknown): Dialect {
  const dialect = typeof name === 'string' && Object.hasOwn(known, name) ? known[name] : undefined
  if (dialect !== undefined) return dialect
  throw fail('INVALID_OPTION', `dialects: expected ${Object.keys(known).join(', ')} or a dialect object, found ${shown(name)}`)
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : `a value of type ${typeof value}`
}

export function createHttpService(options: CheckedOptions, { gateway, authenticators }: ServeContext): HttpService {
  const { limits, onRequest } = options
  const context: DialectContext = {
    gateway,
    limits,
    baseUrl: options.baseUrl,
    admit: (request, deviceId, token) => authenticate(authenticators, request, deviceId, token),
  }
  const routes: readonly Route[] = [healthRoute(context), ...options.dialects.flatMap((dialect) => dialect.routes(context))]
  const router = createRouter(routes, options.prefix)
  const following = new Set<Promise<void>>()

  function followed(response: HttpResponse): HttpResponse {
    const { sent } = response
    if (sent === undefined) return response
    const follow = (): Promise<void> => {
      const done = sent().finally(() => following.delete(done))
      following.add(done)
      return done
    }
    return { ...response, sent: follow }
  }

  function refuse({ seen }: HttpRequest, error: unknown): HttpResponse {
    return seen.route === undefined ? refuseAsJson(error) : seen.route.refuse(error)
  }

  return Object.freeze<HttpService>({
    limits,
    onRequest,
    refuse,
    handles: router.has,
    async answer(request) {
      let response: HttpResponse
      try {
        const { route, params } = router.find(request.method, request.path)
        request.seen.route = route
        response = await route.answer(request, params)
      } catch (error) {
        response = refuse(request, error)
      }
      return request.method === 'HEAD' ? withoutBody(response) : followed(response)
    },
    async settled() {
      while (following.size > 0) await Promise.all(following)
    },
  })
}

/** What GET would answer, but for the bytes. RFC 9110, 9.3.2. */
function withoutBody(response: HttpResponse): HttpResponse {
  const { body, sent: _sent, ...head } = response
  closeHttpBody(body)
  return head
}
