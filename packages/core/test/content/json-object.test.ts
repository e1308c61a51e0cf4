import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isJsonObject, parseJsonObject } from '../../src/content/json-object.ts'

const refuse = (expected: string, found: string): Error => new Error(`expected ${expected}, found ${found}`)
const parse = (text: string) => parseJsonObject(new TextEncoder().encode(text), refuse)
const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`

describe('parseJsonObject', () => {
  test('reads whatever JSON.stringify writes of an object', () => {
    const member = fc.string().filter((name) => name !== '__proto__')
    const leaf = fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null))
    const inner = fc.dictionary(member, fc.oneof(leaf, fc.array(leaf), fc.dictionary(member, leaf, { noNullPrototype: true })), {
      noNullPrototype: true,
    })
    fc.assert(
      fc.property(inner, (value) => {
        const text = JSON.stringify(value)
        expect(parse(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  test.each([
    ['{"a":1,"a":1}', 'found a member twice'],
    ['{"a":1,"\\u0061":2}', 'found a member twice'],
    ['{"a":[{"b":1,"b":2}]}', 'found a member twice'],
    ['{"__proto__":{}}', 'expected no member __proto__'],
    ['[]', 'found another JSON value'],
    ['null', 'found another JSON value'],
    ['{"a":secret}', 'found text that is not JSON'],
    ['', 'found text that is not JSON'],
    [nested(9), 'expected at most 8 levels'],
  ])('refuses %s', (text, message) => {
    expect(() => parse(text)).toThrow(message)
  })

  test('takes colons, quotes and backslashes in texts and names, and eight levels', () => {
    expect(parse('{"a:\\"":"b:\\\\","\\\\":":"}')).toEqual({ 'a:"': 'b:\\', '\\': ':' })
    expect(parse(nested(8))).toBeDefined()
  })

  test('refuses bytes that are not UTF-8', () => {
    expect(() => parseJsonObject(Uint8Array.of(0x7b, 0xff, 0x7d), refuse)).toThrow('expected UTF-8')
  })

  test('reads a part of a larger buffer alone', () => {
    const whole = new TextEncoder().encode('x{"a":1}y')
    expect(parseJsonObject(whole.subarray(1, -1), refuse)).toEqual({ a: 1 })
  })
})

test('isJsonObject takes objects alone', () => {
  expect([{}, [], null, 'a', 1].map(isJsonObject)).toEqual([true, false, false, false, false])
})
