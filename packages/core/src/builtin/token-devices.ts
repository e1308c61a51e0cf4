import { hash, timingSafeEqual } from 'node:crypto'
import { isDeviceId } from '../content/device-id.ts'
import { fail } from '../core-errors.ts'
import type { Authenticator } from '../plugin/authenticator.ts'
import type { Principal } from '../plugin/device.ts'

/** Devices in one file; a line is short, so the file stays small. */
const limitDevices = 1_000_000
/** Characters. A token of 32 random bytes has 64; what is longer is another file. */
const limitToken = 1024

/**
 * Authenticates devices by a bearer token each. `tokens` maps a device id to its token, or to `sha256:<hex>` of it, so that the file need
 * not hold secrets.
 * @throws `INVALID_TOKENS` naming the device or the entry's number, never the token
 * @example
 * const devices = tokenDevices({ 'sensor-1': 'sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b' })
 */
export function tokenDevices(tokens: Readonly<Record<string, string>> | ReadonlyMap<string, string>): Authenticator {
  const hashes = new Map<string, Buffer>()
  let entry = 0
  for (const [id, token] of tokens instanceof Map ? tokens : Object.entries(tokens)) {
    entry += 1
    // Not shown: in a file that was written the wrong way round, this is the token.
    if (!isDeviceId(id))
      throw fail('INVALID_TOKENS', `entry ${entry}: expected a device id (letters, digits, ". _ : + = @ -"), found something else`)
    if (typeof token !== 'string' || token.length === 0 || token.length > limitToken) {
      throw fail('INVALID_TOKENS', `device ${id}: expected a token of 1 to ${limitToken} characters, or sha256:<64 hex digits>`)
    }
    if (hashes.size >= limitDevices) throw fail('INVALID_TOKENS', `expected at most ${limitDevices} devices, found more`)
    hashes.set(id, stored(id, token))
  }
  if (hashes.size === 0) throw fail('INVALID_TOKENS', 'expected at least one device with a token, found none')
  // Tokens that passed once: hashing is a third of the work of an idle check-in. No more entries than there are hashes.
  const proven = new Map<string, { readonly token: string; readonly principal: Principal }>()
  return Object.freeze({
    kind: 'authenticator',
    name: 'token-devices',
    spec: 0,
    authenticate: ({ claimedId, token }) => {
      if (claimedId === undefined || token === undefined || token.length === 0 || token.length > limitToken) return undefined
      const known = proven.get(claimedId)
      if (known !== undefined && sameText(known.token, token)) return known.principal
      const expected = hashes.get(claimedId)
      // Hashes are compared in constant time, so that a token cannot be guessed byte by byte; for an unknown device too, so that the time
      // does not tell which ids exist.
      const same = timingSafeEqual(expected ?? noToken, sha256(token))
      if (!same || expected === undefined) return undefined
      const principal = Object.freeze({ deviceId: claimedId, by: 'token' as const })
      proven.set(claimedId, { token, principal })
      return principal
    },
  } satisfies Authenticator)
}

function stored(id: string, token: string): Buffer {
  if (!token.startsWith('sha256:')) return sha256(token)
  if (!/^sha256:[0-9a-f]{64}$/.test(token)) throw fail('INVALID_TOKENS', `device ${id}: expected sha256:<64 lower case hex digits>`)
  const given = Buffer.from(token.slice(7), 'hex')
  // What a script writes that hashes a variable which is not set.
  if (given.equals(noToken)) throw fail('INVALID_TOKENS', `device ${id}: expected the hash of a token, found that of an empty text`)
  return given
}

/** Looks at every letter, whatever the first difference. */
function sameText(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let index = 0; index < a.length; index++) difference |= a.charCodeAt(index) ^ b.charCodeAt(index)
  return difference === 0
}

function sha256(text: string): Buffer {
  // Every request of a device pays for this: by text it costs less than half of what a Hash object does, or a buffer asked for directly.
  return Buffer.from(hash('sha256', text), 'hex')
}

const noToken = sha256('')
