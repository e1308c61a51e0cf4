import { describe, test } from 'vitest'
import { parsers } from './parsers.ts'

// A chain takes five signatures to make and five to judge; soak makes the many.
const inputs: Readonly<Record<string, number>> = { 'certificate chain': 1_000, 'evidence with its proof': 3_000 }

describe('mutations of valid input', () => {
  test.each(parsers.map((parser) => [parser.name, parser] as const))(
    'of a %s give every code and let nothing else escape',
    { timeout: 120_000 },
    async (name, parser) => {
      await parser.run({ inputs: inputs[name] ?? 10_000 })
    },
  )
})
