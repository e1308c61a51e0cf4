import { describe, expect, test } from 'vitest'
import { derInteger, derOid } from '../../src/testing/encode-der.ts'
import { integerOf, NotDer, oidOf, readDer } from '../../src/x509/der.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))

describe('readDer', () => {
  test.each([
    ['an indefinite length', '30 80 00 00'],
    ['a long length for a short value', '04 81 01 00'],
    ['a length with a leading zero', '04 82 00 80'],
    ['a byte behind', '05 00 00'],
    ['an end within a header', '30'],
    ['an end within a length', '04 82 01'],
    ['an end within a value', '04 02 00'],
    ['a child beyond its parent', '30 03 04 02 00'],
    ['a boolean of 1', '01 01 01'],
    ['an integer with a leading zero', '02 02 00 7f'],
    ['an integer with a leading FF', '02 02 ff 80'],
    ['an integer of nothing', '02 00'],
    ['a NULL with content', '05 01 00'],
    ['unused bits that are set', '03 02 01 01'],
    ['eight unused bits', '03 02 08 00'],
    ['a constructed octet string', '24 03 04 01 00'],
    ['a primitive sequence', '10 00'],
    ['an identifier that does not end', '06 01 80'],
    ['an identifier with a padded part', '06 03 2a 80 01'],
    ['a tag number above 30', '1f 1f 00'],
  ])('refuses %s', (_, text) => {
    expect(() => readDer(hex(text))).toThrow(NotDer)
  })

  test('is not led into depth or number', () => {
    expect(() => readDer(hex(`${'3080'.repeat(5000)}`))).toThrow(NotDer)
    let nested = hex('0500')
    for (let depth = 0; depth < 40; depth++) nested = Uint8Array.from([0x30, nested.length, ...nested])
    expect(() => readDer(nested)).toThrow(/deep/)
    const many = hex('0500'.repeat(5000))
    expect(() => readDer(Uint8Array.from([0x30, 0x82, many.length >> 8, many.length & 0xff, ...many]))).toThrow(/elements/)
  })

  test.each([0, 1, -1, 127, 128, -128, -129, 255, 256, 65_535, -65_536, 2 ** 40])('reads the integer %s back', (value) => {
    expect(integerOf(readDer(derInteger(value)).value)).toBe(value)
  })

  test.each(['2.5.29.15', '1.3.6.1.4.1.11129.2.1.24', '2.23.133.5.4.100.8', '1.2.840.10045.4.3.2', '0.9'])(
    'reads the identifier %s back',
    (oid) => {
      expect(oidOf(readDer(derOid(oid)).value)).toBe(oid)
    },
  )
})
