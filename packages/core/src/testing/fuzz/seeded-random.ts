/** Chance that can be had again: the same seed gives the same choices. */
export interface SeededRandom {
  /** A whole number from 0 to `limit` - 1; 0 where the limit is 0. */
  below(limit: number): number
  /** One of them; the list is not empty. */
  pick<T>(list: readonly T[]): T
  /** True once in `times`, on average. */
  once(times: number): boolean
}

/** Makes the chance of a seed: mulberry32. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed | 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b_79f5) | 0
    let word = Math.imul(state ^ (state >>> 15), 1 | state)
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word
    return Math.floor((((word ^ (word >>> 14)) >>> 0) / 4_294_967_296) * limit)
  }
  return { below, pick: (list) => list[below(list.length)] as (typeof list)[number], once: (times) => below(times) === 0 }
}

/** The seed of one input of a run, so that each can be made again alone. */
export function seedOf(runSeed: number, input: number): number {
  return Math.imul(runSeed | 0, 0x9e37_79b1) ^ Math.imul(input + 1, 0x85eb_ca6b)
}
