import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { Journal } from '../plugin/journal.ts'

/** A device has at least half of this to answer a challenge. */
const nonceLifeMs = 300_000
/** RFC 9711 asks for 8 to 64 bytes. */
const nonceBytes = 32
/** Writers of one nonce are the requests of one device. */
const rounds = 8

type ChallengePurpose = 'admit' | 'confirm'

const key = (deviceId: string, purpose: ChallengePurpose): string => `nonce/${purpose}/${deviceId}`

/**
 * The nonce that a device is to answer now, bound to it and to one purpose. The one that it was asked with before stands as long as half of
 * its life is left: a device that is slow, or asks twice at once, answers a challenge that still counts.
 * @throws `JOURNAL_CONFLICT` (unavailable), and what the journal throws
 */
export async function issueNonce(
  journal: Journal,
  deviceId: string,
  purpose: ChallengePurpose,
  random: (bytes: number) => Uint8Array,
  now: Date,
): Promise<Uint8Array> {
  for (let round = 0; round < rounds; round++) {
    const entry = await journal.get(key(deviceId, purpose))
    const pending = entry === undefined ? undefined : storedNonce(entry.value)
    const leftMs = pending === undefined ? 0 : pending.until - now.getTime()
    // More than its whole life left is a clock that was set back.
    if (pending !== undefined && leftMs >= nonceLifeMs / 2 && leftMs <= nonceLifeMs) return pending.nonce
    const nonce = random(nonceBytes)
    const until = new Date(now.getTime() + nonceLifeMs)
    const value = { nonce: Buffer.from(nonce).toString('base64'), until: until.toISOString() }
    try {
      await journal.put(key(deviceId, purpose), value, { ifVersion: entry?.version ?? null, expires: until })
      return nonce
    } catch (error) {
      if (!isOtaError(error) || error.code !== 'JOURNAL_CONFLICT') throw error
    }
  }
  throw fail('JOURNAL_CONFLICT', `device ${deviceId}: expected to issue a challenge within ${rounds} rounds, found another writer in each`)
}

/**
 * Takes a nonce out of the journal: used up even if what it was asked for fails. Of two callers at once, one gets it. Undefined where none
 * is pending, or it has expired.
 */
export async function takeNonce(journal: Journal, deviceId: string, purpose: ChallengePurpose, now: Date): Promise<Uint8Array | undefined> {
  const entry = await journal.get(key(deviceId, purpose))
  if (entry === undefined) return undefined
  try {
    await journal.delete(key(deviceId, purpose), { ifVersion: entry.version })
  } catch (error) {
    if (isOtaError(error) && error.code === 'JOURNAL_CONFLICT') return undefined
    throw error
  }
  const pending = storedNonce(entry.value)
  // The journal forgets by a clock of its own; this is the one that the evidence is judged by.
  return pending !== undefined && pending.until > now.getTime() ? pending.nonce : undefined
}

function storedNonce(value: Json): { readonly nonce: Uint8Array; readonly until: number } | undefined {
  const { nonce, until } = (typeof value === 'object' && value !== null ? value : {}) as {
    readonly nonce?: unknown
    readonly until?: unknown
  }
  if (typeof nonce !== 'string' || typeof until !== 'string') return undefined
  const bytes = new Uint8Array(Buffer.from(nonce, 'base64'))
  return bytes.length === nonceBytes ? { nonce: bytes, until: Date.parse(until) } : undefined
}
