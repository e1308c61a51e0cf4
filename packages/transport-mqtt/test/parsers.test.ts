import { describe, test } from 'vitest'
import { parsers } from './parsers.ts'

describe('10,000 mutations of valid input', () => {
  test.each(parsers.map((parser) => [parser.name, parser] as const))(
    'of %s give every code and let nothing else escape',
    async (_, parser) => {
      await parser.run({ inputs: 10_000 })
    },
  )
})
