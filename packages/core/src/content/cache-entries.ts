import { fail } from '../core-errors.ts'
import type { BlobDirectory, BlobFile } from './blob-directory.ts'

/** A blob at rest, as the cache knows it. */
export interface CacheEntry {
  readonly file: BlobFile
  /** Known once the content was checked by this process; nothing is served before. */
  crc32: number | undefined
  /** How many read it now; it is not evicted meanwhile. */
  readers: number
  /** Not evicted before this, on the monotonic clock: somebody was told its path. */
  busyUntilMs: number
  /** Reads that memory could not serve. */
  coldReads: number
  usedMs: number
  /** The use that the disk knows of. */
  savedMs: number
}

/** What lies in the directory, least recently used first, within its bounds. */
export interface CacheEntries {
  get(digest: string): CacheEntry | undefined
  add(file: BlobFile, crc32: number): CacheEntry
  use(entry: CacheEntry): void
  /** Forgets the entry at once; resolves when its space is free. */
  discard(entry: CacheEntry): Promise<void>
  /**
   * Evicts until `size` more bytes fit, and keeps them free until `release`.
   * @throws `CACHE_FULL` where what is in use leaves no room
   */
  reserve(size: number): Promise<{ release(): void }>
  /** Tells the disk of every use that it does not know yet. */
  save(): Promise<void>
}

/** More files than this are evicted whatever their size: an index of so many stays below 100 MB, and the directory stays quick. */
export const entryLimit = 100_000
/** A use is written to the disk at most this often for each entry; the order that a crash leaves is that old at worst. */
const saveAfterMs = 60_000

/** Takes over what a directory holds. `onDiscard` hears of everything that goes. */
export function cacheEntries(directory: BlobDirectory, limitBytes: number, onDiscard: (digest: string) => void): CacheEntries {
  const entries = new Map<string, CacheEntry>()
  let usedBytes = 0
  let reservedBytes = 0
  let lastMs = directory.found.at(-1)?.usedMs ?? 0

  function insert(file: BlobFile, crc32: number | undefined): CacheEntry {
    const entry: CacheEntry = { file, crc32, readers: 0, busyUntilMs: 0, coldReads: 0, usedMs: file.usedMs, savedMs: file.usedMs }
    usedBytes += file.size - (entries.get(file.digest)?.file.size ?? 0)
    entries.delete(file.digest)
    entries.set(file.digest, entry)
    return entry
  }

  async function discard(entry: CacheEntry): Promise<void> {
    // A later entry of the same digest has nothing to do with this one.
    if (entries.get(entry.file.digest) !== entry) return
    entries.delete(entry.file.digest)
    usedBytes -= entry.file.size
    onDiscard(entry.file.digest)
    await directory.discard(entry.file)
  }

  function victims(size: number): readonly CacheEntry[] {
    const found: CacheEntry[] = []
    let excessBytes = usedBytes + reservedBytes + size - limitBytes
    let excess = entries.size + 1 - entryLimit
    for (const entry of entries.values()) {
      if (excessBytes <= 0 && excess <= 0) break
      if (entry.readers > 0 || entry.busyUntilMs > performance.now()) continue
      found.push(entry)
      excessBytes -= entry.file.size
      excess -= 1
    }
    if (excessBytes <= 0) return found
    throw fail(
      'CACHE_FULL',
      `expected room for ${size} bytes within ${limitBytes} (limitBytes), found ${excessBytes} bytes too many in use; raise it or wait`,
      { details: { limitBytes } },
    )
  }

  function use(entry: CacheEntry): void {
    entries.delete(entry.file.digest)
    entries.set(entry.file.digest, entry)
    // Ascending, so that the order survives a restart although the clock may stand still or jump; by so little that it never runs ahead.
    lastMs = Math.max(lastMs + 0.001, Date.now())
    entry.usedMs = lastMs
    if (entry.usedMs - entry.savedMs >= saveAfterMs) void saveOne(entry)
  }

  function saveOne(entry: CacheEntry): Promise<void> {
    entry.savedMs = entry.usedMs
    return directory.markUsed(entry.file, entry.usedMs)
  }

  for (const file of directory.found) insert(file, undefined)
  return {
    get: (digest) => entries.get(digest),
    add(file, crc32) {
      const entry = insert(file, crc32)
      use(entry)
      return entry
    },
    use,
    discard,
    async reserve(size) {
      const evicted = victims(size)
      reservedBytes += size
      const release = (): void => {
        reservedBytes -= size
      }
      try {
        await Promise.all(evicted.map(discard))
      } catch (error) {
        release()
        throw error
      }
      return { release }
    },
    async save() {
      for (const entry of entries.values()) if (entry.usedMs > entry.savedMs) await saveOne(entry)
    },
  }
}
