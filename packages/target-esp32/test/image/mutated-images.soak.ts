import { describe, expect, it } from 'vitest'
import { inspectMutants, parserCodes } from '../support/mutate-images.ts'

const times = Number(process.env.REFLASH_SOAK ?? '1')

describe('mutated images, at length', () => {
  it(`are reported without an exception: ${100_000 * times} of them`, async () => {
    for (let round = 1; round <= 10 * times; round++) {
      expect([...(await inspectMutants(10_000, round * 0x9e37_79b9))].sort()).toEqual(parserCodes)
    }
  })
})
