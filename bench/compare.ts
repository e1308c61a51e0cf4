import type { LoadResult } from './peer/wrk.ts'

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}

export interface Comparison {
  readonly ours: LoadResult
  readonly theirs: LoadResult
  /** Ours divided by theirs, each the median of the rounds' own ratios. */
  readonly rate: number
  readonly bytes: number
  readonly p99: number
  readonly cpu: number
}

// Rounds after which a slow machine gives up on being warm.
const warmRounds = 8

/** Loads until so many requests have been answered: V8 has then optimised what they run through. */
async function warmUp(warmRequests: number, load: () => Promise<LoadResult>): Promise<void> {
  for (let requests = 0, round = 0; requests < warmRequests && round < warmRounds; round++) requests += (await load()).requests
}

/** Measures both in turns, so that a busy neighbour slows both, and returns medians. Both are warmed up before, which does not count. */
export async function compare(
  rounds: number,
  warmRequests: number,
  ours: () => Promise<LoadResult>,
  theirs: () => Promise<LoadResult>,
): Promise<Comparison> {
  const pairs: { readonly ours: LoadResult; readonly theirs: LoadResult }[] = []
  await warmUp(warmRequests, theirs)
  await warmUp(warmRequests, ours)
  for (let round = 0; round < rounds; round++) pairs.push({ theirs: await theirs(), ours: await ours() })
  const middle = (side: 'ours' | 'theirs'): LoadResult => ({
    requests: median(pairs.map((pair) => pair[side].requests)),
    requestsPerSecond: median(pairs.map((pair) => pair[side].requestsPerSecond)),
    bytesPerSecond: median(pairs.map((pair) => pair[side].bytesPerSecond)),
    p99Ms: median(pairs.map((pair) => pair[side].p99Ms)),
    cpuMicros: median(pairs.map((pair) => pair[side].cpuMicros)),
  })
  const ratio = (of: keyof LoadResult) => median(pairs.map((pair) => pair.ours[of] / pair.theirs[of]))
  return {
    ours: middle('ours'),
    theirs: middle('theirs'),
    rate: ratio('requestsPerSecond'),
    bytes: ratio('bytesPerSecond'),
    p99: ratio('p99Ms'),
    cpu: ratio('cpuMicros'),
  }
}
