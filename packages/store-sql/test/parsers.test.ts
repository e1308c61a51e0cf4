import { describe, test } from 'vitest'
import { parsers } from './parsers.ts'

// An input is a file that is written, opened and used: a thousand take as long as a hundred thousand of other parsers.
describe('1,000 mutations of valid input', () => {
  test.each(parsers.map((parser) => [parser.name, parser] as const))(
    'of %s give every code and let nothing else escape',
    async (_, parser) => {
      await parser.run({ inputs: 1000 })
    },
  )
})
