import type { Json } from '../content/json.ts'
import type { CallOptions, Plugin } from './plugin.ts'

/** A stored value and the opaque version that a compare-and-set names. */
export interface JournalEntry {
  readonly value: Json
  readonly version: string
}

/**
 * Durable facts under compare-and-set: digests, plans, observations, nonces, leases. Never proofs.
 * Keys are 1 to 512 characters of printable ASCII, values at most 1 MiB of JSON, both checked (`journal-entry.ts`).
 */
export interface Journal extends Plugin<'journal'> {
  /** The live value, or undefined where there is none or it has expired. */
  get(key: string, options?: CallOptions): Promise<JournalEntry | undefined>
  /**
   * Stores a value if the key's version is `ifVersion` (null: no live value), durably before it resolves, and returns the new version.
   * @throws `JOURNAL_CONFLICT` (unavailable) where another writer was faster: read again.
   */
  put(key: string, value: Json, options: CallOptions & { readonly ifVersion: string | null; readonly expires?: Date }): Promise<string>
  delete(key: string, options: CallOptions & { readonly ifVersion: string }): Promise<void>
  /** Live keys that start with `prefix`, in code unit order. */
  list(prefix: string, options?: CallOptions): AsyncIterable<string>
}
