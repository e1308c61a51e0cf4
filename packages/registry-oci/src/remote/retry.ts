import { isOtaError, throwIfAborted } from '@reflash/core'
import type { OciSettings } from '../oci-options.ts'

/** First pause; doubled at each try. Short enough for a dropped connection, long enough after four for a restart. */
const firstPauseMs = 250

/** Runs again what failed as `unavailable`, with pauses that respect Retry-After, within the bounds of the settings. */
export type Retry = <T>(work: () => Promise<T>, signal: AbortSignal | undefined) => Promise<T>

export function retrying({ limits, clock, random }: Pick<OciSettings, 'limits' | 'clock' | 'random'>): Retry {
  return async (work, signal) => {
    const end = clock.now() + limits.retryWithinMs
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal)
      try {
        return await work()
      } catch (error) {
        const pause = pauseAfter(error, attempt, random)
        if (pause === undefined || attempt >= limits.attempts || clock.now() + pause > end) throw error
        await clock.sleep(pause, signal)
      }
    }
  }
}

function pauseAfter(error: unknown, attempt: number, random: () => number): number | undefined {
  if (!isOtaError(error) || error.fault !== 'unavailable') return undefined
  const asked = error.details.retryAfterMs
  const pause = typeof asked === 'number' ? asked : firstPauseMs * 2 ** (attempt - 1) * 0.5
  // Jitter on top, so that a fleet of servers which was refused together does not come back together.
  return pause + random() * Math.max(pause, firstPauseMs)
}
