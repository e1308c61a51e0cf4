import { crc32 } from '@reflash/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32Join } from '../../src/wire/crc32-join.ts'

test('two sums make the sum of both parts together, whatever their lengths', () => {
  const part = fc.uint8Array({ maxLength: 3000 })
  fc.assert(
    fc.property(part, part, (a, b) => {
      expect(crc32Join(crc32(a), crc32(b), b.length)).toBe(crc32(Buffer.concat([a, b])))
    }),
    { numRuns: 500 },
  )
})
