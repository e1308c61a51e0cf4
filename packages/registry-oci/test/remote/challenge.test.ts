import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseChallenges } from '../../src/remote/challenge.ts'

const plain = (header: string | string[]) =>
  parseChallenges(header).map(({ scheme, token68, parameters }) => [
    scheme,
    ...(token68 === undefined ? [] : [token68]),
    Object.fromEntries(parameters),
  ])

describe('parseChallenges', () => {
  test('reads what registries send', () => {
    expect(plain('Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"')).toEqual([
      ['bearer', { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' }],
    ])
    expect(plain('Basic realm="registry"')).toEqual([['basic', { realm: 'registry' }]])
  })

  test('keeps commas, equal signs and escaped quotes inside quoted strings', () => {
    expect(plain(String.raw`Bearer realm="a,b=c \"d\" \\e", error="insufficient_scope"`)).toEqual([
      ['bearer', { realm: String.raw`a,b=c "d" \e`, error: 'insufficient_scope' }],
    ])
  })

  test('tells several challenges in one header apart, and takes several headers', () => {
    const both = [
      ['negotiate', {}],
      ['basic', { realm: 'x', charset: 'UTF-8' }],
      ['bearer', { realm: 'https://t/', service: 's' }],
    ]
    expect(plain('Negotiate, Basic realm="x", charset=UTF-8, Bearer realm="https://t/",service=s')).toEqual(both)
    expect(plain(['Negotiate', 'Basic realm="x", charset=UTF-8', 'Bearer realm="https://t/",service=s'])).toEqual(both)
  })

  test('reads token68, empty list elements, blanks around "=" and names in any case', () => {
    expect(plain('Negotiate YWJj==, , BEARER Realm = "r" ,, SERVICE=s')).toEqual([
      ['negotiate', 'YWJj==', {}],
      ['bearer', { realm: 'r', service: 's' }],
    ])
  })

  test('keeps the first of two equal parameters', () => {
    expect(plain('Bearer realm="https://good/", realm="https://evil/"')).toEqual([['bearer', { realm: 'https://good/' }]])
  })

  test('reads nothing from a header without challenges, from garbage, and from one that is far too long', () => {
    for (const header of ['', ',,,', '"realm"', '=', '\u0000', '(x)']) expect(plain(header)).toEqual([])
    expect(parseChallenges(undefined)).toEqual([])
    expect(plain(`Bearer realm="${'x'.repeat(20_000)}"`)).toEqual([])
  })

  test('an unterminated quoted string ends the reading, and what stands before it counts', () => {
    expect(plain('Basic realm="a", Bearer realm="https://t')).toEqual([
      ['basic', { realm: 'a' }],
      ['bearer', {}],
    ])
  })

  test('gives back what was written, for any schemes, names and values', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
    const parameters = fc.dictionary(
      name,
      fc.string({ maxLength: 20 }).filter((text) => !/[\n\r\u2028\u2029]/.test(text)),
      { minKeys: 1, maxKeys: 4, noNullPrototype: true },
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(name, parameters), { minLength: 1, maxLength: 4 }), (challenges) => {
        const quoted = (text: string) => `"${text.replace(/[\\"]/g, '\\$&')}"`
        const header = challenges.map(
          ([scheme, given]) =>
            `${scheme} ${Object.entries(given)
              .map(([key, value]) => `${key}=${quoted(value)}`)
              .join(', ')}`,
        )
        expect(plain(header.join(', '))).toEqual(challenges.map(([scheme, given]) => [scheme, given]))
      }),
    )
  })

  test('never throws and never takes long, whatever a registry sends', () => {
    const pieces = fc.constantFrom(
      'Bearer',
      'Basic',
      ' ',
      '\t',
      ',',
      '=',
      '"',
      '\\',
      'realm',
      'x',
      '==',
      'a/b+c~',
      ';',
      '\u0000',
      'é',
      '     ',
    )
    fc.assert(fc.property(fc.array(pieces, { maxLength: 400 }), (parts) => parseChallenges(parts.join('')).length <= 16))
    const started = performance.now()
    for (const bad of ['"', '\\"', 'a=', 'a ', ' ,', 'a=b ', '====', 'x,']) parseChallenges(`Bearer ${bad.repeat(16_000 / bad.length)}`)
    expect(performance.now() - started).toBeLessThan(2000)
  })
})
