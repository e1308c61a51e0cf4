import { createHash, timingSafeEqual } from 'node:crypto'
import { isDeviceId } from '../content/device-id.ts'
import { fail } from '../core-errors.ts'
import type { Authenticator } from '../plugin/authenticator.ts'

/** Devices in one file; a line is short, so the file stays small. */
const limitDevices = 1_000_000

/**
 * Authenticates devices by a bearer token each. `tokens` maps a device id to its token, or to `sha256:<hex>` of it, so that the file need
 * not hold secrets.
 * @throws `INVALID_TOKENS` naming the device, never the token
 */
export function tokenDevices(tokens: Readonly<Record<string, string>> | ReadonlyMap<string, string>): Authenticator {
  const hashes = new Map<string, Buffer>()
  for (const [id, token] of tokens instanceof Map ? tokens : Object.entries(tokens)) {
    if (!isDeviceId(id)) throw fail('INVALID_TOKENS', `expected a device id, found ${JSON.stringify(String(id).slice(0, 100))}`)
    if (typeof token !== 'string' || token.length === 0 || token.length > 1024) {
      throw fail('INVALID_TOKENS', `device ${id}: expected a token of 1 to 1024 characters, or sha256:<64 hex digits>`)
    }
    if (hashes.size >= limitDevices) throw fail('INVALID_TOKENS', `expected at most ${limitDevices} devices, found more`)
    hashes.set(id, stored(id, token))
  }
  if (hashes.size === 0) throw fail('INVALID_TOKENS', 'expected at least one device with a token, found none')
  return Object.freeze({
    kind: 'authenticator',
    name: 'token-devices',
    spec: 0,
    authenticate: ({ claimedId, token }) => {
      const expected = claimedId === undefined ? undefined : hashes.get(claimedId)
      if (expected === undefined || token === undefined) return undefined
      // Hashes are compared in constant time, so that a token cannot be guessed byte by byte.
      return timingSafeEqual(expected, sha256(token)) ? { deviceId: claimedId as string, by: 'token' as const } : undefined
    },
  } satisfies Authenticator)
}

function stored(id: string, token: string): Buffer {
  if (!token.startsWith('sha256:')) return sha256(token)
  if (!/^sha256:[0-9a-f]{64}$/.test(token)) throw fail('INVALID_TOKENS', `device ${id}: expected sha256:<64 lower case hex digits>`)
  return Buffer.from(token.slice(7), 'hex')
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}
