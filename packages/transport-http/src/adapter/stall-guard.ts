import type { HttpLimits } from '../limits.ts'

/** Ends transfers whose reader is too slow: each write has a deadline, and a sooner one while others wait for memory. */
export interface StallGuard {
  /** `left` tells how many bytes of a write the kernel has not taken yet. */
  watch(end: () => void, left: () => number): StallWatch
}

export interface StallWatch {
  /** A write of so many bytes begins. */
  begin(bytes: number): void
  /** It was handed over, or the transfer ended. */
  done(): void
}

interface Entry {
  deadline: number
  /** What was left at a look while others waited, and since when. */
  left: number
  since: number
  readonly look: () => number
  readonly end: () => void
}

/**
 * One timer looks at all writes together; it runs only while there are any. A write may take `stallTimeoutMs` and the time that
 * its bytes need at `minBytesPerSecond`; while `isPressed`, a reader must take something within `pressedStallMs`.
 */
export function createStallGuard(
  limits: Pick<HttpLimits, 'minBytesPerSecond' | 'stallTimeoutMs' | 'pressedStallMs'>,
  isPressed: () => boolean,
): StallGuard {
  const { minBytesPerSecond, stallTimeoutMs, pressedStallMs } = limits
  const entries = new Set<Entry>()
  let timer: NodeJS.Timeout | undefined

  function look(): void {
    const now = performance.now()
    const pressed = isPressed()
    for (const entry of entries) {
      if (now < entry.deadline && !(pressed && isStill(entry, now))) continue
      entries.delete(entry)
      entry.end()
    }
    if (entries.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  function isStill(entry: Entry, now: number): boolean {
    const left = entry.look()
    if (left === entry.left) return now - entry.since >= pressedStallMs
    entry.left = left
    entry.since = now
    return false
  }

  return {
    watch(end, left) {
      const entry: Entry = { deadline: 0, left: -1, since: 0, look: left, end }
      return {
        begin(bytes) {
          entry.deadline = performance.now() + stallTimeoutMs + (bytes / minBytesPerSecond) * 1000
          entry.left = -1
          entries.add(entry)
          timer ??= setInterval(look, Math.min(1000, Math.max(10, Math.min(stallTimeoutMs, pressedStallMs) / 4))).unref()
        },
        done() {
          entries.delete(entry)
        },
      }
    },
  }
}
