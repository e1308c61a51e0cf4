import { describe, expect, test } from 'vitest'
import { derText, derTime } from '../../src/testing/encode-der.ts'
import { readTime } from '../../src/x509/time.ts'

describe('readTime', () => {
  test.each(['1950-01-01T00:00:00Z', '1999-12-31T23:59:59Z', '2049-12-31T23:59:59Z', '2050-01-01T00:00:00Z', '9999-12-31T23:59:59Z'])(
    'reads %s',
    (time) => {
      expect(readTime(derTime(new Date(time)))?.getTime()).toBe(Date.parse(time))
    },
  )

  test.each([
    ['no seconds', derText('2306011200Z', 0x17)],
    ['no Z', derText('230601120000', 0x17)],
    ['a zone', derText('230601120000+0000', 0x17)],
    ['a fraction', derText('20230601120000.5Z', 0x18)],
    ['a thirteenth month', derText('231301120000Z', 0x17)],
    ['the 30th of February', derText('230230120000Z', 0x17)],
    ['the 61st second', derText('230601120061Z', 0x17)],
    ['another type', derText('230601120000Z', 0x13)],
    ['letters', derText('23060112000xZ', 0x17)],
  ])('refuses a time with %s', (_, element) => {
    expect(readTime(element)).toBeUndefined()
  })
})
