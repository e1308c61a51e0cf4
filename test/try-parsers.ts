import type { ParserFuzz } from '@reflash/core/testing'
import { describe, test } from 'vitest'

/** Tests that hold each parser to its codes with 10,000 mutations: what the gate samples of {@link soakParsers}. */
export function tryParsers(parsers: readonly ParserFuzz[], { timeout = 120_000 } = {}): void {
  describe('10,000 mutations of valid input', () => {
    test.each(parsers.map((parser) => [parser.name, parser] as const))(
      'of %s give every code and let nothing else escape',
      { timeout },
      async (_, parser) => {
        await parser.run({ inputs: 10_000 })
      },
    )
  })
}

/** The same with a million of each, times REFLASH_SOAK. */
export function soakParsers(parsers: readonly ParserFuzz[]): void {
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
}
