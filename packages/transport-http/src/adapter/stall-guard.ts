/** Ends transfers whose reader is too slow: each write has a deadline. */
export interface StallGuard {
  watch(end: () => void): StallWatch
}

export interface StallWatch {
  /** A write of so many bytes begins. */
  begin(bytes: number): void
  /** It was handed over, or the transfer ended. */
  done(): void
}

interface Entry {
  deadline: number
  readonly end: () => void
}

/**
 * One timer looks at all writes together; it runs only while there are any. A write may take `stallTimeoutMs` and the time that
 * its bytes need at `minBytesPerSecond`.
 */
export function createStallGuard(limits: { readonly minBytesPerSecond: number; readonly stallTimeoutMs: number }): StallGuard {
  const { minBytesPerSecond, stallTimeoutMs } = limits
  const entries = new Set<Entry>()
  let timer: NodeJS.Timeout | undefined

  function look(): void {
    const now = performance.now()
    for (const entry of entries) {
      if (now < entry.deadline) continue
      entries.delete(entry)
      entry.end()
    }
    if (entries.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    watch(end) {
      const entry: Entry = { deadline: 0, end }
      return {
        begin(bytes) {
          entry.deadline = performance.now() + stallTimeoutMs + (bytes / minBytesPerSecond) * 1000
          entries.add(entry)
          timer ??= setInterval(look, Math.min(1000, Math.max(10, stallTimeoutMs / 4))).unref()
        },
        done() {
          entries.delete(entry)
        },
      }
    },
  }
}
