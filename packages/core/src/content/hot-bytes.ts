/** Whole contents in memory, within bounds; the least recently used goes first. */
export interface HotBytes {
  /** Whether content of this size may be kept at all. */
  fits(size: number): boolean
  /** The content, which counts as used now. Nobody may write to it. */
  get(key: string): Uint8Array | undefined
  keep(key: string, bytes: Uint8Array): void
  drop(key: string): void
}

/** Makes an empty store of at most `limitBytes` in all and `entryLimitBytes` each. */
export function hotBytes(limitBytes: number, entryLimitBytes: number): HotBytes {
  const kept = new Map<string, Uint8Array>()
  let total = 0

  function drop(key: string): void {
    total -= kept.get(key)?.length ?? 0
    kept.delete(key)
  }

  return {
    fits: (size) => size <= entryLimitBytes && size <= limitBytes,
    get(key) {
      const bytes = kept.get(key)
      if (bytes === undefined) return undefined
      kept.delete(key)
      kept.set(key, bytes)
      return bytes
    },
    keep(key, bytes) {
      drop(key)
      kept.set(key, bytes)
      total += bytes.length
      for (const oldest of kept.keys()) {
        if (total <= limitBytes) return
        drop(oldest)
      }
    },
    drop,
  }
}
