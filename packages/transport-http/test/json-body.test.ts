import { isOtaError } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { parseObject } from '../src/json-body.ts'
import { readEvidence, readReported } from '../src/protocol/native/check-in.ts'
import { readReport } from '../src/protocol/native/report.ts'
import { seeded } from './started.ts'

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

const valid = {
  checkIn: {
    model: 'esp32s3',
    installed: { version: '1.0.0', digest: `sha256:${'a'.repeat(64)}`, state: 'confirmed' },
    attributes: { ram: 320, list: [1, 'two', { three: 3 }] },
    evidence: { mediaType: 'application/pem', body: 'aGVsbG8=' },
  },
  report: { state: 'failed', received: 12, code: 'FLASH', messages: ['one', 'two'] },
}

const foul = [null, true, -1, 1.5, 1e300, '', 'x'.repeat(2000), [], {}, [[]], 'sha256:zz', '%%%', { length: -1 }, Number.MAX_VALUE]

/** Changes one place of a valid document: a value, a key, a byte of the text. */
function mutated(document: object, below: (limit: number) => number): Buffer {
  const copy = structuredClone(document) as Record<string, unknown>
  let at = copy
  for (;;) {
    const keys = Object.keys(at)
    const key = keys[below(keys.length)] ?? 'new'
    const value = at[key]
    if (typeof value === 'object' && value !== null && below(2) === 0) {
      at = value as Record<string, unknown>
      continue
    }
    if (below(4) === 0) delete at[key]
    else at[below(8) === 0 ? `${key}2` : key] = foul[below(foul.length)]
    break
  }
  const bytes = Buffer.from(JSON.stringify(copy))
  for (let flips = below(4); flips > 1; flips--) bytes[below(bytes.length)] = below(256)
  return below(6) === 0 ? bytes.subarray(0, below(bytes.length)) : bytes
}

test.each([
  ['check-in', valid.checkIn, (body: Buffer) => [readReported(parseObject(body)), readEvidence(parseObject(body))]],
  ['report', valid.report, (body: Buffer) => readReport(parseObject(body))],
] as const)('5,000 mutations of a %s are read or refused as invalid, and nothing else', (_name, document, read) => {
  const below = seeded(4711)
  const codes = new Map<string, number>()
  for (let round = 0; round < 5_000; round++) {
    const body = mutated(document, below)
    const code = codeOf(() => read(body))
    expect(['nothing thrown', 'INVALID_BODY invalid'], body.toString('latin1')).toContain(code)
    codes.set(code, (codes.get(code) ?? 0) + 1)
  }
  expect(codes.get('nothing thrown')).toBeGreaterThan(100)
  expect(codes.get('INVALID_BODY invalid')).toBeGreaterThan(1000)
})
