import type { Authenticator, Credentials, Principal } from '@reflash/core'
import { fail } from './http-errors.ts'
import type { HttpRequest } from './http-message.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * Asks the authenticators in their order who is at the other end; the first that knows decides.
 * @throws `NOT_AUTHENTICATED` where none knows, `NOT_YOUR_DEVICE` where it is another device, and whatever an authenticator throws: it fails closed.
 */
export async function authenticate(
  authenticators: readonly Authenticator[],
  request: HttpRequest,
  deviceId: string,
  given?: string,
): Promise<Principal> {
  request.seen.deviceId = deviceId
  const credentials = credentialsOf(request, deviceId, given)
  const context = { signal: request.signal }
  for (const authenticator of authenticators) {
    const answer = authenticator.authenticate(credentials, context)
    // Most answer at once; a turn of the microtask queue for each request is saved then.
    const principal = answer instanceof Promise ? await answer : answer
    if (principal === undefined) continue
    if (principal.deviceId !== deviceId) {
      throw fail('NOT_YOUR_DEVICE', 'expected the id of the device that authenticated, found the id of another')
    }
    return principal
  }
  const shown = credentials.certificate !== undefined || credentials.token !== undefined
  throw fail(
    'NOT_AUTHENTICATED',
    shown
      ? 'expected a token or certificate that this server knows for this device, found another'
      : 'expected `Authorization: Bearer <token>` or a client certificate, found neither',
  )
}

function credentialsOf(request: HttpRequest, claimedId: string, given: string | undefined): Credentials {
  const credentials: Mutable<Credentials> = { claimedId }
  const token = given ?? bearerToken(request.header('authorization'))
  if (token !== undefined) credentials.token = token
  const { certificate, peer } = request
  if (certificate !== undefined) credentials.certificate = certificate
  if (peer !== undefined) credentials.peer = peer
  return credentials
}

/** The token of `Authorization: Bearer <token>`, RFC 6750, 2.1; undefined for any other scheme. */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length < 8) return undefined
  if (!authorization.startsWith('Bearer ') && authorization.slice(0, 7).toLowerCase() !== 'bearer ') return undefined
  const rest = authorization.slice(7)
  const token = rest.startsWith(' ') ? rest.trimStart() : rest
  return token.length === 0 || token.includes(' ') ? undefined : token
}
