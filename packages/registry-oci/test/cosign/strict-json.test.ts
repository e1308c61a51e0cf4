import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeBase64, encodeBase64 } from '../../src/cosign/base64.ts'
import { parsePem } from '../../src/cosign/pem.ts'
import { parseStrictJson } from '../../src/cosign/strict-json.ts'
import { utf8 } from './scene.ts'

const parse = (source: string | Uint8Array) => parseStrictJson(typeof source === 'string' ? utf8(source) : source, (why) => new Error(why))

describe('parseStrictJson', () => {
  test('reads every value that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 2), (value, indent) => {
        expect(parse(JSON.stringify(value, null, indent))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  test.each([
    ['a key that is there twice', '{"a":1,"b":{"c":1},"a":2}', 'the key "a" is there twice'],
    ['a key that is there twice under two spellings', '{"a":1,"\\u0061":2}', 'the key "a" is there twice'],
    ['a key that is there twice deep inside', '[{"x":[{"y":1,"y" \n:1}]}]', 'the key "y" is there twice'],
    ['__proto__ twice', '{"__proto__":1,"__proto__":2}', 'the key "__proto__" is there twice'],
    ['a second value', '{}{}', 'not valid JSON'],
    ['a trailing byte', '{}\0', 'not valid JSON'],
    ['a byte order mark', '\ufeff{}', 'not valid JSON'],
    ['a comment', '{}//', 'not valid JSON'],
    ['nothing', '', 'not valid JSON'],
    ['a nest of arrays', '['.repeat(33) + ']'.repeat(33), 'nests deeper than 32'],
    ['a nest that fills the limit of a payload', '['.repeat(32_768) + ']'.repeat(32_768), 'nests deeper than 32'],
  ])('refuses %s', (_, text, why) => {
    expect(() => parse(text)).toThrow(why)
  })

  test('takes equal keys of different objects, and text that only looks like keys', () => {
    expect(parse('[{"a":1},{"a":{"a":"\\"a\\":1,\\"a\\":2"}}]')).toEqual([{ a: 1 }, { a: { a: '"a":1,"a":2' } }])
  })

  test('refuses bytes that are not UTF-8', () => {
    expect(() => parse(new Uint8Array([0x22, 0xff, 0x22]))).toThrow('not valid UTF-8')
  })
})

describe('decodeBase64', () => {
  test('reads what encodeBase64 writes, and nothing else of the same length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeBase64(encodeBase64(bytes))).toEqual(bytes)
      }),
    )
  })

  test.each(['QQ', 'QQ=', 'QR==', 'QUJ=', 'QQ==\n', ' QQ==', 'Q Q==', 'QQ==QQ==', '-_-_', 'QQ==!', '='])('refuses %j', (text) => {
    expect(decodeBase64(text)).toBeUndefined()
  })
})

describe('parsePem', () => {
  const block = '-----BEGIN X-----\nQUJD\n-----END X-----'
  test('reads one block, whatever ends its lines', () => {
    expect(parsePem(block)).toEqual({ label: 'X', bytes: utf8('ABC') })
    expect(parsePem(`\n${block.replaceAll('\n', '\r\n')}\r\n\r\n`)).toEqual({ label: 'X', bytes: utf8('ABC') })
  })

  test.each([
    ['text before it', `hello\n${block}`],
    ['text behind it', `${block}\nhello`],
    ['a second block', `${block}\n${block}`],
    ['another end than beginning', block.replace('END X', 'END Y')],
    ['no end', '-----BEGIN X-----\nQUJD\n'],
    ['no content line', '-----BEGIN X-----\n-----END X-----'.replace('\n', '')],
    ['headers', block.replace('QUJD', 'Proc-Type: 4,ENCRYPTED\n\nQUJD')],
    ['base64 that is cut', block.replace('QUJD', 'QUJ')],
    ['more than the limit', block.replace('QUJD', 'QUJD'.repeat(20_000))],
    ['nothing', ''],
  ])('refuses %s', (_, text) => {
    expect(parsePem(text)).toEqual(expect.stringMatching(/^(it|what) /))
  })
})
