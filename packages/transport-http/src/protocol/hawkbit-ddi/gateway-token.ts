import { createHash, timingSafeEqual } from 'node:crypto'
import type { Authenticator } from '@reflash/core'
import { fail } from '../../http-errors.ts'

/** The token of `Authorization: TargetToken <token>` or `GatewayToken <token>`; undefined for any other scheme. */
export function hawkbitToken(authorization: string | undefined): string | undefined {
  // One space: what is longer or different is no header of a client that exists.
  return /^(?:TargetToken|GatewayToken) ([!-~]{1,1024})$/i.exec(authorization ?? '')?.[1]
}

/**
 * Authenticates whoever shows the gateway token as the device that it speaks of: for a gateway that serves many devices which it vouches
 * for. Devices with a token each use `tokenDevices`.
 * @throws `INVALID_OPTION`, never showing the token
 */
export function gatewayToken(token: string): Authenticator {
  if (typeof token !== 'string' || token.length < 16 || token.length > 1024) {
    throw fail('INVALID_OPTION', 'token: expected 16 to 1024 characters, found another length: it opens every device')
  }
  const expected = createHash('sha256').update(token).digest()
  return Object.freeze<Authenticator>({
    kind: 'authenticator',
    name: 'gateway-token',
    spec: 0,
    authenticate({ claimedId, token: shown }) {
      if (claimedId === undefined || shown === undefined) return undefined
      if (!timingSafeEqual(createHash('sha256').update(shown).digest(), expected)) return undefined
      return { deviceId: claimedId, by: 'gateway' }
    },
  })
}
