import { checkJournalKey, type Json } from '@reflash/core'
import { fail } from './sql-errors.ts'

export const keysPerRead = 256
// Keys are printable ASCII: the space begins the least continuation of a key, and DEL sorts after every one.
export const firstCharacter = ' '
export const afterEveryKey = '\x7f'

/** A key of the database, of which a damaged one may say anything. */
export function storedKey(key: string, file: string): string {
  try {
    checkJournalKey(key)
    return key
  } catch (cause) {
    throw fail('JOURNAL_CORRUPT', `${file}: an entry has a key that no writer gave it`, { cause, details: { file } })
  }
}

export function parseValue(text: string, file: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (cause) {
    throw fail('JOURNAL_CORRUPT', `${file}: expected JSON in every entry, found one that holds something else`, {
      cause,
      details: { file },
    })
  }
}
