import { digestOf } from '../content/digest.ts'
import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { Evidence } from '../plugin/evidence-verifier.ts'
import type { Journal } from '../plugin/journal.ts'

/** A device has at least half of this to answer a challenge. */
const nonceLifeMs = 300_000
/** RFC 9711 asks for 8 to 64 bytes. */
const nonceBytes = 32
/** Writers of one nonce are the requests of one device. */
const rounds = 8

type ChallengePurpose = 'admit' | 'confirm'

/** Pieces of evidence that are known again when they come twice: copies of a request come within seconds, and few at once. */
const rememberedEvidence = 8

const key = (deviceId: string, purpose: ChallengePurpose): string => `nonce/${purpose}/${deviceId}`

/** What is stored of the challenges of one device and purpose: the nonce that is pending, and what evidence must not answer another. */
interface Stored {
  readonly pending?: { readonly nonce: Uint8Array; readonly until: number }
  /** Digests of evidence. */
  readonly answered: readonly string[]
}

/**
 * The nonce that a device is to answer now, bound to it and to one purpose. The one that it was asked with before stands as long as half of
 * its life is left: a device that is slow, or asks twice at once, answers a challenge that still counts. `stale` is evidence that it sent for
 * an earlier one: copies of it answer nothing that is asked later.
 * @throws `JOURNAL_CONFLICT` (unavailable), and what the journal throws
 */
export async function issueNonce(
  journal: Journal,
  deviceId: string,
  purpose: ChallengePurpose,
  random: (bytes: number) => Uint8Array,
  now: Date,
  stale?: Evidence,
): Promise<Uint8Array> {
  for (let round = 0; round < rounds; round++) {
    const entry = await journal.get(key(deviceId, purpose))
    const { pending, answered } = storedChallenge(entry?.value)
    const known = withAnswered(answered, stale)
    const leftMs = pending === undefined ? 0 : pending.until - now.getTime()
    // More than its whole life left is a clock that was set back.
    const stands = pending !== undefined && leftMs >= nonceLifeMs / 2 && leftMs <= nonceLifeMs
    if (stands && known === answered) return pending.nonce
    const nonce = stands ? pending.nonce : random(nonceBytes)
    const until = stands ? new Date(pending.until) : new Date(now.getTime() + nonceLifeMs)
    const value = {
      nonce: Buffer.from(nonce).toString('base64'),
      until: until.toISOString(),
      ...(known.length === 0 ? {} : { answered: known }),
    }
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
 * Takes a nonce out of the journal for one piece of evidence: used up even if what it was asked for fails. Of two callers at once, one gets
 * it; a copy of evidence that was answered before gets none, and leaves the pending one to whom it was asked of. Undefined where none is
 * pending, or it has expired.
 */
export async function takeNonce(
  journal: Journal,
  deviceId: string,
  purpose: ChallengePurpose,
  now: Date,
  evidence?: Evidence,
): Promise<Uint8Array | undefined> {
  const entry = await journal.get(key(deviceId, purpose))
  if (entry === undefined) return undefined
  const { pending, answered } = storedChallenge(entry.value)
  const known = withAnswered(answered, evidence)
  const isCopy = evidence !== undefined && known === answered
  if (isCopy || (pending === undefined && answered.length > 0)) return undefined
  try {
    const expires = new Date(now.getTime() + nonceLifeMs)
    if (pending === undefined || known.length === 0) await journal.delete(key(deviceId, purpose), { ifVersion: entry.version })
    else await journal.put(key(deviceId, purpose), { answered: known }, { ifVersion: entry.version, expires })
  } catch (error) {
    if (isOtaError(error) && error.code === 'JOURNAL_CONFLICT') return undefined
    throw error
  }
  // The journal forgets by a clock of its own; this is the one that the evidence is judged by. Where it was set back, more than a whole life
  // is left.
  const leftMs = pending === undefined ? 0 : pending.until - now.getTime()
  return leftMs > 0 && leftMs <= nonceLifeMs ? pending?.nonce : undefined
}

/** The same list where the evidence is on it already, or there is none. */
function withAnswered(answered: readonly string[], evidence: Evidence | undefined): readonly string[] {
  if (evidence === undefined) return answered
  const digest = digestOf(evidence.body)
  return answered.includes(digest) ? answered : [...answered, digest].slice(-rememberedEvidence)
}

function storedChallenge(value: Json | undefined): Stored {
  const found = (typeof value === 'object' && value !== null ? value : {}) as {
    readonly nonce?: unknown
    readonly until?: unknown
    readonly answered?: unknown
  }
  const { nonce, until, answered } = found
  const digests = Array.isArray(answered) ? answered.filter((digest) => typeof digest === 'string').slice(-rememberedEvidence) : []
  if (typeof nonce !== 'string' || typeof until !== 'string') return { answered: digests }
  const bytes = new Uint8Array(Buffer.from(nonce, 'base64'))
  return { answered: digests, ...(bytes.length === nonceBytes ? { pending: { nonce: bytes, until: Date.parse(until) } } : {}) }
}
