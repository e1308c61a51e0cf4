import { digestOf } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatPayload, parsePayload } from '../../src/cosign/payload.ts'
import { utf8 } from './scene.ts'

const digest = digestOf(utf8('manifest'))
const payload = (critical: unknown, rest: object = { optional: null }) => utf8(JSON.stringify({ critical, ...rest }))
const identity = { 'docker-reference': 'fw.test/app' }
const image = { 'docker-manifest-digest': digest }
const type = 'cosign container image signature'

describe('formatPayload', () => {
  test('writes the bytes that cosign writes', () => {
    expect(new TextDecoder().decode(formatPayload({ digest, dockerReference: 'fw.test/app' }))).toBe(
      `{"critical":{"identity":{"docker-reference":"fw.test/app"},"image":{"docker-manifest-digest":"${digest}"},"type":"cosign container image signature"},"optional":null}`,
    )
  })

  test('sorts further claims and escapes what Go escapes', () => {
    const bytes = formatPayload({ digest, dockerReference: 'fw.test/app', optional: { b: '<a>&\u2028', a: 1 } })
    expect(new TextDecoder().decode(bytes)).toMatch(/"optional":\{"a":1,"b":"\\u003ca\\u003e\\u0026\\u2028"\}\}$/)
  })

  test('is read back by parsePayload', () => {
    fc.assert(
      fc.property(fc.string(), fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })), (dockerReference, claims) => {
        const optional = JSON.parse(JSON.stringify(claims))
        expect(parsePayload(formatPayload({ digest, dockerReference, optional }))).toEqual({ digest, dockerReference, optional })
      }),
    )
  })
})

describe('parsePayload', () => {
  test('reads both types, and a payload without optional', () => {
    expect(parsePayload(payload({ identity, image, type }))).toEqual({ digest, dockerReference: 'fw.test/app', optional: {} })
    expect(parsePayload(payload({ type: 'atomic container signature', image, identity }, {})).digest).toBe(digest)
  })

  test.each([
    ['another type', payload({ identity, image, type: 'cosign container image Signature' }), 'critical.type'],
    ['no type', payload({ identity, image }), 'critical.type'],
    ['an unknown critical claim', payload({ identity, image, type, expires: 1 }), 'unknown key "expires"'],
    ['an unknown claim beside critical', payload({ identity, image, type }, { Critical: {} }), 'unknown key "Critical"'],
    ['an unknown claim on the image', payload({ identity, image: { ...image, tag: 'x' }, type }), 'unknown key "tag"'],
    ['a digest that is a list', payload({ identity, image: { 'docker-manifest-digest': [digest] }, type }), 'not a string'],
    ['no digest', payload({ identity, image: {}, type }), 'not a string'],
    ['no identity', payload({ image, type }), 'critical.identity is not an object'],
    ['a reference that is null', payload({ identity: { 'docker-reference': null }, image, type }), 'not a string'],
    ['critical as a list', payload([]), 'critical is not an object'],
    ['optional as a list', payload({ identity, image, type }, { optional: [] }), 'optional'],
    ['a string', utf8('"critical"'), 'not an object'],
    ['two payloads', new Uint8Array([...payload({ identity, image, type }), ...payload({ identity, image, type })]), 'not valid JSON'],
    [
      'a second digest',
      utf8(
        `{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":"x","docker-manifest-digest":"${digest}"},"type":"${type}"}}`,
      ),
      'there twice',
    ],
    ['64 KiB and a byte', payload({ identity, image, type }, { optional: { a: 'x'.repeat(65_536) } }), 'bytes'],
  ])('refuses %s', (_, bytes, why) => {
    expect(() => parsePayload(bytes)).toThrow(
      expect.objectContaining({ code: 'SIGNATURE_PAYLOAD_INVALID', message: expect.stringContaining(why) }),
    )
  })

  test('takes no claim from a prototype', () => {
    expect(() => parsePayload(utf8(`{"__proto__":{"critical":${JSON.stringify({ identity, image, type })}}}`))).toThrow(
      'unknown key "__proto__"',
    )
    expect(() => parsePayload(utf8('{}'))).toThrow('critical is not an object')
  })
})
