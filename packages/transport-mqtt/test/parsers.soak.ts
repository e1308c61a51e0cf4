import { describe, test } from 'vitest'
import { parsers } from './parsers.ts'

const inputs = 1_000_000 * Number(process.env.REFLASH_SOAK ?? '1')

describe('mutations of valid input', () => {
  test.for(parsers.map((parser) => [parser.name, parser] as const))('of %s', async ([, parser], { task }) => {
    const { seed, accepted, codes, seconds, slowestMs } = await parser.run({ inputs })
    const hit = Object.entries(codes).map(([code, count]) => `${code} ${count}`)
    // scripts/soak.ts writes it into docs/soak.md.
    const facts = {
      inputs,
      seed,
      perSecond: Math.round(inputs / seconds),
      slowestMs: Math.round(slowestMs),
      read: accepted,
      codes: hit.join(', ') || 'none',
    }
    Object.assign(task.meta, { facts })
  })
})
