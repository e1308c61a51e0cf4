import type { Authenticator, Credentials, Principal } from '@reflash/core'
import { fail } from './mqtt-errors.ts'

/**
 * Asks the authenticators in their order who has published under the topic of a device; the first that knows decides.
 * @throws `DEVICE_NOT_AUTHENTICATED` where none knows, `DEVICE_NOT_ITSELF` where it is another device, and what an authenticator throws: it fails closed
 */
export async function authenticate(
  authenticators: readonly Authenticator[],
  deviceId: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<Principal> {
  const seen: Credentials = { claimedId: deviceId, topicId: deviceId, ...(token === undefined ? {} : { token }) }
  for (const authenticator of authenticators) {
    const answer = authenticator.authenticate(seen, { signal })
    const principal = answer instanceof Promise ? await answer : answer
    if (principal === undefined) continue
    if (principal.deviceId !== deviceId) {
      throw fail('DEVICE_NOT_ITSELF', 'expected a message under the topic of the device that authenticated, found one under another')
    }
    return principal
  }
  const expected = 'expected a token that this server knows for this device, or an authenticator that believes the topic'
  throw fail('DEVICE_NOT_AUTHENTICATED', `${expected}; found ${token === undefined ? 'none' : 'another token'}`)
}
