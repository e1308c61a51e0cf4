import { describe, expect, it } from 'vitest'
import { compareWithNginx, everyAnswer, hasNginx } from './beside-nginx.ts'

const rounds = 20_000 * Number(process.env.REFLASH_SOAK ?? '1')

describe.skipIf(!hasNginx)('beside nginx, at length', () => {
  it(`answers ${rounds} random requests with ranges and conditions as nginx does`, async () => {
    const seen = await compareWithNginx(rounds, 1)
    console.log([...seen].map(([what, count]) => `${what}: ${count}`).join(', '))
    expect([...seen.keys()].sort()).toEqual(everyAnswer)
  })
})
