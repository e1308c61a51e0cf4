/** A clock that stands still until a test moves it. */
export interface ManualClock {
  /** The present time, a fresh `Date` at each call. */
  now(): Date
  /** Moves the clock on, or back where negative. */
  advance(milliseconds: number): void
  set(at: Date): void
}

/** Makes a clock which starts at `start`, by default at a fixed time in 2030 so that tests do not depend on the day they run. */
export function manualClock(start: Date = new Date('2030-01-01T00:00:00.000Z')): ManualClock {
  let milliseconds = start.getTime()
  return Object.freeze({
    now: () => new Date(milliseconds),
    advance(by: number) {
      milliseconds += by
    },
    set(at: Date) {
      milliseconds = at.getTime()
    },
  })
}
