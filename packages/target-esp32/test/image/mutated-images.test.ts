import { describe, expect, it } from 'vitest'
import { inspectMutants, parserCodes } from '../support/mutate-images.ts'

describe('mutated images', () => {
  it('are reported without an exception, and reach every code of the parser', async () => {
    expect([...(await inspectMutants(2_000, 20_260_101))].sort()).toEqual(parserCodes)
  })
})
