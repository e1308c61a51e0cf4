import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { crc32 as native } from '../../src/content/crc32.node.ts'
import { crc32 as portable } from '../../src/content/crc32.portable.ts'
import { crc32 } from '../../src/content/crc32.ts'

const implementations = { native, portable, selected: crc32 }

describe.each(Object.entries(implementations))('crc32 (%s)', (_, crc) => {
  it('gives the check value of the CRC catalogue, unsigned', () => {
    expect(crc(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
    expect(crc(new Uint8Array())).toBe(0)
    expect(crc(new Uint8Array(4).fill(0xff))).toBe(0xffffffff)
  })

  it('continues from the CRC of what came before', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
        expect(crc(bytes.subarray(cut), crc(bytes.subarray(0, cut)))).toBe(crc(bytes))
      }),
    )
  })
})

it('the native and the portable CRC-32 agree on any bytes and any seed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.integer({ min: 0, max: 0xffffffff }), (bytes, seed) => {
      expect(portable(bytes, seed)).toBe(native(bytes, seed))
      expect(native(bytes, seed)).toBeGreaterThanOrEqual(0)
    }),
  )
})
