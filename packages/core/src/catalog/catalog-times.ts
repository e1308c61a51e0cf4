/** How old an answer may be, and how long one waits for a better one. Milliseconds, each at most a day. */
export interface CatalogTimes {
  /** Younger tags are served as they are. */
  readonly freshMs: number
  /** Older tags are waited for: a new tag is seen within this. */
  readonly staleMs: number
  /** How long a check-in waits for a registry that does not answer, before it is served what is known. */
  readonly waitMs: number
  /** How long one question to the registry may take (what a tag points at, which tags there are) before what is remembered counts. */
  readonly answerMs: number
  /** How long a check-in waits for tags of which nothing is known, or for a new release to be fetched and verified. */
  readonly prepareMs: number
  /** The whole release line of one release. */
  readonly releaseMs: number
}

/** A new tag is seen within ten seconds, a check-in is answered within twenty, an image of 256 MiB may come at 0.5 MB/s. */
export const catalogTimes: CatalogTimes = Object.freeze({
  freshMs: 4_000,
  staleMs: 9_000,
  waitMs: 2_000,
  answerMs: 10_000,
  prepareMs: 20_000,
  releaseMs: 600_000,
})
