import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { Journal } from '../plugin/journal.ts'
import { type DeviceRecord, emptyRecord } from './device-record.ts'
import { parseRecord } from './parse-record.ts'

export interface StoredRecord {
  readonly record: DeviceRecord
  /** For the compare-and-set; null where nothing is stored yet. */
  readonly version: string | null
}

/** Concurrent writers of one device are few; more rounds than this mean something is wrong. */
const conflictRounds = 16

const key = (deviceId: string): string => `device/${deviceId}`

/** @throws `FACTS_CORRUPT` (invalid), and what the journal throws */
export async function loadRecord(journal: Journal, deviceId: string, signal?: AbortSignal): Promise<StoredRecord> {
  const entry = await journal.get(key(deviceId), signal === undefined ? undefined : { signal })
  return entry === undefined
    ? { record: emptyRecord, version: null }
    : { record: parseRecord(deviceId, entry.value), version: entry.version }
}

/** @throws `JOURNAL_CONFLICT` where somebody else wrote in between: load again and decide anew */
export async function saveRecord(journal: Journal, deviceId: string, record: DeviceRecord, version: string | null): Promise<string> {
  return journal.put(key(deviceId), record as unknown as Json, { ifVersion: version })
}

/**
 * Reads, decides and writes until nobody was faster. A decision that returns the record as it was writes nothing.
 * @throws `JOURNAL_CONFLICT` (unavailable) after many rounds, what `decide` throws, and what the journal throws
 */
export async function changeRecord<T>(
  journal: Journal,
  deviceId: string,
  decide: (
    record: DeviceRecord,
  ) => { readonly record: DeviceRecord; readonly result: T } | Promise<{ readonly record: DeviceRecord; readonly result: T }>,
): Promise<T> {
  for (let round = 0; round < conflictRounds; round++) {
    const stored = await loadRecord(journal, deviceId)
    const { record, result } = await decide(stored.record)
    if (record === stored.record) return result
    try {
      await saveRecord(journal, deviceId, record, stored.version)
      return result
    } catch (error) {
      if (!isOtaError(error) || error.code !== 'JOURNAL_CONFLICT') throw error
    }
  }
  throw fail(
    'JOURNAL_CONFLICT',
    `device ${deviceId}: expected to change its record within ${conflictRounds} rounds, found another writer in each`,
  )
}
