import type { Gateway, Principal } from '@reflash/core'
import type { HttpRequest, HttpResponse } from '../http-message.ts'
import type { HttpLimits } from '../limits.ts'

/** One path and method of a dialect. */
export interface Route {
  /** Says in logs which route it was; a raw path never does, because a stranger chooses it. */
  readonly name: string
  /** `GET` answers `HEAD` too. */
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Segments; one that begins with a colon matches any one segment, and its decoded value is handed over. */
  readonly path: string
  answer(request: HttpRequest, params: readonly string[]): HttpResponse | Promise<HttpResponse>
  /** How an error looks in this dialect. */
  refuse(error: unknown): HttpResponse
}

/** What a dialect gets to answer with. */
export interface DialectContext {
  readonly gateway: Gateway
  readonly limits: HttpLimits
  /** What precedes the path in URLs that devices are told; without a slash at its end. */
  readonly baseUrl: string
  /**
   * Who is at the other end, by its certificate and its `Authorization: Bearer`, or by the `token` that this dialect carries otherwise.
   * @throws `NOT_AUTHENTICATED`, `NOT_YOUR_DEVICE`
   */
  admit(request: HttpRequest, deviceId: string, token?: string): Promise<Principal>
}

/** How one kind of device speaks: its routes over the gateway. */
export interface Dialect {
  readonly name: string
  routes(context: DialectContext): readonly Route[]
}
