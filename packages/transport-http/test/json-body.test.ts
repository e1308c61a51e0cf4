import { isOtaError } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { parseObject } from '../src/json-body.ts'
import { readReported } from '../src/protocol/native/check-in.ts'

const parse = (text: string | Uint8Array): unknown => parseObject(Buffer.from(text))
const codeOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return isOtaError(error) ? `${error.code} ${error.fault}` : String(error)
  }
  return 'nothing thrown'
}

describe('a JSON body', () => {
  test('is read as it stands', () => {
    expect(parse('{"a":[1,{"b":"c:\\"d\\\\"}],"é":null}')).toEqual({ a: [1, { b: 'c:"d\\' }], é: null })
  })

  test.each<[string, string | Uint8Array]>([
    ['no object', '[]'],
    ['a text', '"a"'],
    ['nothing but a number', '1'],
    ['cut off', '{"a":1'],
    ['two objects', '{}{}'],
    ['a byte order mark', '\ufeff{}'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['a member twice', '{"a":1,"a":2}'],
    ['a member twice, once escaped', '{"a":1,"\\u0061":2}'],
    ['a member twice, deep inside', '{"x":[{"a":1,"b":{"c":1,"c":1}}]}'],
    ['__proto__', '{"__proto__":{"polluted":true}}'],
    ['__proto__ escaped', '{"attributes":{"__pr\\u006fto__":{"polluted":true}}}'],
    ['nine levels', `{"a":${'['.repeat(8)}1${']'.repeat(8)}}`],
    ['eight thousand levels', `{"a":${'['.repeat(8000)}${']'.repeat(8000)}}`],
  ])('with %s is refused', (_name, text) => {
    expect(codeOf(() => parse(text))).toBe('INVALID_BODY invalid')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  test('may hold colons in texts and keys without being taken for one with a member twice', () => {
    expect(parse('{"a:b":"c:d","e\\":":"\\\\"}')).toEqual({ 'a:b': 'c:d', 'e":': '\\' })
  })

  test('keeps `constructor` a plain member', () => {
    expect(readReported(parseObject(Buffer.from('{"attributes":{"constructor":1}}')))).toEqual({ attributes: { constructor: 1 } })
  })
})
