import { describe, expect, test } from 'vitest'
import { compareWithNginx, everyAnswer, hasNginx } from './beside-nginx.ts'

const rounds = 2_000

describe.skipIf(!hasNginx)('beside nginx', () => {
  test(`${rounds} random requests with ranges and conditions, a fifth of them HEAD, get the same answer`, async () => {
    const seen = await compareWithNginx(rounds, 20_000)
    expect([...seen.keys()].sort()).toEqual(everyAnswer)
  }, 300_000)
})
