import { deepStrictEqual } from 'node:assert/strict'
import type { Json } from '../../content/json.ts'
import type { Journal } from '../../plugin/journal.ts'
import type { JournalInstance, JournalSettings } from '../journal-suite.ts'
import { refused } from '../refusal.ts'
import { rulesOf } from '../suite.ts'

export const rule = rulesOf<JournalInstance, JournalSettings>('journal')

/** Holds that another writer was faster, as the contract says it. */
export async function conflicts(what: string, call: () => unknown): Promise<void> {
  await refused(what, { fault: 'unavailable', code: 'JOURNAL_CONFLICT' }, call)
}

/** Holds that a key has this value, and returns its version. */
export async function holds(journal: Journal, key: string, value: Json): Promise<string> {
  const entry = await journal.get(key)
  deepStrictEqual(entry?.value, value, `${JSON.stringify(key).slice(0, 80)}: expected the value that was put`)
  return (entry as { version: string }).version
}

export async function missing(journal: Journal, key: string): Promise<void> {
  deepStrictEqual(await journal.get(key), undefined, `${JSON.stringify(key).slice(0, 80)}: expected nothing`)
}
