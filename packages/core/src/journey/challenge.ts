import { isOtaError } from '../errors.ts'
import type { Journal } from '../plugin/journal.ts'

/** A device has this long to answer a challenge. */
const nonceLifeMs = 300_000
/** RFC 9711 asks for 8 to 64 bytes. */
const nonceBytes = 32

const key = (deviceId: string, purpose: 'admit' | 'confirm'): string => `nonce/${purpose}/${deviceId}`

/** Issues a nonce for one device and purpose; an older one of the same is void. */
export async function issueNonce(
  journal: Journal,
  deviceId: string,
  purpose: 'admit' | 'confirm',
  random: (bytes: number) => Uint8Array,
  now: Date,
): Promise<Uint8Array> {
  const nonce = random(nonceBytes)
  const entry = await journal.get(key(deviceId, purpose))
  await journal.put(key(deviceId, purpose), Buffer.from(nonce).toString('base64'), {
    ifVersion: entry?.version ?? null,
    expires: new Date(now.getTime() + nonceLifeMs),
  })
  return nonce
}

/** Takes a nonce out of the journal: used up even if what it was asked for fails. Of two callers at once, one gets it. */
export async function takeNonce(journal: Journal, deviceId: string, purpose: 'admit' | 'confirm'): Promise<Uint8Array | undefined> {
  const entry = await journal.get(key(deviceId, purpose))
  if (typeof entry?.value !== 'string') return undefined
  try {
    await journal.delete(key(deviceId, purpose), { ifVersion: entry.version })
  } catch (error) {
    if (isOtaError(error) && error.code === 'JOURNAL_CONFLICT') return undefined
    throw error
  }
  return new Uint8Array(Buffer.from(entry.value, 'base64'))
}
