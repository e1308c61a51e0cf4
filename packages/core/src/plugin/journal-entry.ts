import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'

/** Keys longer than this are refused: the longest key of reflash holds a kind, a device id of 256 bytes and a digest. */
export const journalKeyLimitBytes = 512

/** Values larger than this are refused: a journal holds facts, and images live in the cache. */
export const journalValueLimitBytes = 1024 * 1024

// Printable ASCII has one order in code units, UTF-8 bytes and every database's binary collation; astral characters have not.
const keyPattern = /^[\x20-\x7e]{1,512}$/
const prefixPattern = /^[\x20-\x7e]{0,512}$/

/**
 * Holds that `key` can be stored by every journal: 1 to 512 characters of printable ASCII.
 * @throws `INVALID_KEY`
 */
export function checkJournalKey(key: string): void {
  if (typeof key !== 'string' || !keyPattern.test(key)) throw invalidKey('key', '1', key)
}

/**
 * Holds that `prefix` can begin a key, or is empty.
 * @throws `INVALID_KEY`
 */
export function checkJournalPrefix(prefix: string): void {
  if (typeof prefix !== 'string' || !prefixPattern.test(prefix)) throw invalidKey('key prefix', '0', prefix)
}

function invalidKey(what: string, least: string, found: unknown) {
  const shown = typeof found === 'string' ? JSON.stringify(found.slice(0, 64)) : typeof found
  return fail(
    'INVALID_KEY',
    `a journal ${what} has ${least} to ${journalKeyLimitBytes} characters of printable ASCII; found ${shown}; encode names from outside first`,
  )
}

/**
 * Returns the JSON text that a journal stores for `value`.
 * @throws `INVALID_VALUE`, `TOO_LARGE`
 */
export function journalText(value: Json): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    // The cause says where; its own message is a drawing of several lines.
    throw fail('INVALID_VALUE', 'a journal value must be JSON; found what JSON.stringify refuses, such as a cycle or a bigint', { cause })
  }
  if (text === undefined) throw fail('INVALID_VALUE', `a journal value must be JSON; found ${typeof value}`)
  // A UTF-16 code unit is at most three bytes of UTF-8: short texts need no count.
  if (text.length * 3 > journalValueLimitBytes) {
    const sizeBytes = new TextEncoder().encode(text).byteLength
    if (sizeBytes > journalValueLimitBytes) {
      throw fail(
        'TOO_LARGE',
        `a journal value has ${sizeBytes} bytes of JSON; the limit is ${journalValueLimitBytes}; store a digest instead`,
      )
    }
  }
  return text
}

/**
 * Returns the expiry in milliseconds, or undefined where the entry never expires.
 * @throws `INVALID_VALUE`
 */
export function journalExpiry(expires: Date | undefined): number | undefined {
  if (expires === undefined) return undefined
  const time = expires.getTime()
  if (Number.isNaN(time)) throw fail('INVALID_VALUE', 'the expiry of a journal entry must be a valid date; found an invalid one')
  return time
}
