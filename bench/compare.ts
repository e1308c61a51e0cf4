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

/** Measures both in turns, so that a busy neighbour slows both, and returns medians. The first round warms up and does not count. */
export async function compare(rounds: number, ours: () => Promise<LoadResult>, theirs: () => Promise<LoadResult>): Promise<Comparison> {
  const pairs: { readonly ours: LoadResult; readonly theirs: LoadResult }[] = []
  for (let round = -1; round < rounds; round++) {
    const pair = { theirs: await theirs(), ours: await ours() }
    if (round >= 0) pairs.push(pair)
  }
  const middle = (side: 'ours' | 'theirs'): LoadResult => ({
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
