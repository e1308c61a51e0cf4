import { describe, test } from 'vitest'
import { parsers } from './parsers.ts'

// A chain is signed and judged anew for each input: some 300 of them take a second.
const inputs = (name: string): number => (name === 'certificate chain' ? 100_000 : 1_000_000) * Number(process.env.REFLASH_SOAK ?? '1')

describe('mutations of valid input', () => {
  test.for(parsers.map((parser) => [parser.name, parser] as const))('of %s', async ([name, parser], { task }) => {
    const { seed, accepted, codes, seconds, slowestMs } = await parser.run({ inputs: inputs(name) })
    const hit = Object.entries(codes).map(([code, count]) => `${code} ${count}`)
    // scripts/soak.ts writes it into docs/soak.md.
    const facts = {
      inputs: inputs(name),
      seed,
      perSecond: Math.round(inputs(name) / seconds),
      slowestMs: Math.round(slowestMs),
      read: accepted,
      codes: hit.join(', ') || 'none',
    }
    Object.assign(task.meta, { facts })
  })
})
