import { throwIfAborted } from '../content/abort.ts'
import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'
import type { Journal } from '../plugin/journal.ts'
import { checkJournalKey, checkJournalPrefix, journalExpiry, journalText } from '../plugin/journal-entry.ts'

/** What a memory journal tells the time by. */
export interface MemoryJournalOptions {
  /** The clock that expiry is judged by; the system's where absent. */
  readonly now?: () => Date
}

interface Entry {
  readonly text: string
  readonly version: string
  readonly expires: number
}

/**
 * Makes a journal that lives as long as the process. Values are kept as JSON text, so that nobody shares an object with it and what JSON
 * would change is changed here as it would be in a database. Versions are never used twice, not even after a deletion.
 */
export function memoryJournal({ now = () => new Date() }: MemoryJournalOptions = {}): Journal {
  const entries = new Map<string, Entry>()
  let writes = 0

  function live(key: string): Entry | undefined {
    const entry = entries.get(key)
    if (entry === undefined || entry.expires > now().getTime()) return entry
    entries.delete(key)
    return undefined
  }

  function expectVersion(key: string, ifVersion: string | null): void {
    const found = live(key)?.version ?? null
    if (found === ifVersion) return
    throw fail('JOURNAL_CONFLICT', `journal entry ${JSON.stringify(key)}: expected version ${ifVersion}, found ${found}; read it again`, {
      details: { key },
    })
  }

  return Object.freeze<Journal>({
    kind: 'journal',
    name: 'memory',
    spec: 0,
    async get(key, options) {
      checkJournalKey(key)
      throwIfAborted(options?.signal)
      const entry = live(key)
      return entry && { value: JSON.parse(entry.text) as Json, version: entry.version }
    },
    async put(key, value, { ifVersion, expires, signal }) {
      checkJournalKey(key)
      const text = journalText(value)
      const expiry = journalExpiry(expires) ?? Number.POSITIVE_INFINITY
      throwIfAborted(signal)
      expectVersion(key, ifVersion)
      writes += 1
      const version = String(writes)
      entries.set(key, { text, version, expires: expiry })
      return version
    },
    async delete(key, { ifVersion, signal }) {
      checkJournalKey(key)
      throwIfAborted(signal)
      expectVersion(key, ifVersion)
      entries.delete(key)
    },
    async *list(prefix, options) {
      checkJournalPrefix(prefix)
      // The default sort compares code units, which is the order that the contract names.
      for (const key of [...entries.keys()].filter((name) => name.startsWith(prefix)).sort()) {
        throwIfAborted(options?.signal)
        if (live(key) !== undefined) yield key
      }
    },
  })
}
