import fc from 'fast-check'
import { expect, test } from 'vitest'
import { publishHead } from '../../src/wire/publish-head.ts'
import { publishPacket } from '../support/raw-mqtt.ts'

// Around the lengths at which one more byte is needed to say them.
const sizes = fc.oneof(fc.nat(300), fc.integer({ min: 16_300, max: 16_500 }), fc.integer({ min: 2_097_000, max: 2_097_200 }))
const topics = fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme' })
const heads = fc.uint8Array({ maxLength: 16 })

test('a packet whose payload goes out in two pieces is the same packet', () => {
  fc.assert(
    fc.property(topics, heads, sizes, (topic, head, restBytes) => {
      const rest = new Uint8Array(restBytes).fill(7)
      const inPieces = Buffer.concat([publishHead('3.1.1', topic, head, restBytes), rest])
      expect(inPieces.equals(publishPacket(topic, Buffer.concat([head, rest])))).toBe(true)
    }),
    { numRuns: 60 },
  )
})

test('a packet of MQTT 5 says before its payload that it has no properties', () => {
  const bytes = publishHead('5', 'a/b', Uint8Array.of(1, 2), 3)
  expect([...bytes]).toEqual([0x30, 2 + 3 + 1 + 2 + 3, 0, 3, 0x61, 0x2f, 0x62, 0, 1, 2])
})
