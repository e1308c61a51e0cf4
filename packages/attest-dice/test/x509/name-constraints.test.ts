import { describe, expect, test } from 'vitest'
import { der, derName, derOctets, derOid, derText } from '../../src/testing/encode-der.ts'
import { readNameConstraints, readNames, violation } from '../../src/x509/name-constraints.ts'

const empty = der(0x30)
const subtrees = (member: number, ...names: readonly Uint8Array[]) =>
  readNameConstraints(der(0x30, der(member, ...names.map((name) => der(0x30, name)))))
const permit = (...names: readonly Uint8Array[]) => subtrees(0xa0, ...names)
const exclude = (...names: readonly Uint8Array[]) => subtrees(0xa1, ...names)
const alt = (...names: readonly Uint8Array[]) => readNames(empty, der(0x30, ...names))
const dns = (text: string) => derText(text, 0x82)
const mail = (text: string) => derText(text, 0x81)
const uri = (text: string) => derText(text, 0x86)
const common = (text: Uint8Array) => der(0x30, der(0x31, der(0x30, derOid('2.5.4.3'), text)))
const ip = (...octets: readonly number[]) => derOctets(Uint8Array.from(octets), 0x87)

describe('name constraints', () => {
  test.each([
    ['a host below a domain', permit(dns('example.com')), alt(dns('a.EXAMPLE.com'))],
    ['the domain itself', permit(dns('example.com')), alt(dns('example.com'))],
    ['a name of another kind', permit(dns('example.com')), alt(mail('a@example.org'))],
    ['an address in a network', permit(ip(10, 0, 0, 0, 255, 0, 0, 0)), alt(ip(10, 9, 9, 9))],
    ['a mailbox', permit(mail('a@example.com')), alt(mail('a@example.com'))],
    ['a host of mailboxes', permit(mail('example.com')), alt(mail('b@example.com'))],
    ['a URI by its host', permit(uri('.example.com')), alt(uri('https://u@a.example.com:8443/x?y'))],
    ['a name beside an excluded one', exclude(dns('example.com')), alt(dns('notexample.com'))],
    [
      'a subject below a directory',
      permit(der(0xa4, derName({ commonName: 'Acme' }))),
      readNames(derName({ commonName: 'Acme', serialNumber: '1' }), undefined),
    ],
    [
      'a directory that only begins as an excluded one does',
      exclude(der(0xa4, common(derText('acme')))),
      readNames(common(derText('acme co')), undefined),
    ],
    ['no name at all', permit(dns('example.com')), alt()],
  ])('allow %s', (_, constraints, names) => {
    expect(violation(constraints, names)).toBeUndefined()
  })

  test.each([
    ['a domain that only ends alike', permit(dns('example.com')), alt(dns('badexample.com'))],
    ['one name of two', permit(dns('example.com')), alt(dns('a.example.com'), dns('example.org'))],
    ['a host below an excluded domain', exclude(dns('example.com')), alt(dns('a.example.com'))],
    ['an address of another network', permit(ip(10, 0, 0, 0, 255, 0, 0, 0)), alt(ip(11, 0, 0, 1))],
    ['an address of another length', permit(ip(10, 0, 0, 0, 255, 0, 0, 0)), alt(ip(...new Uint8Array(16)))],
    ['another mailbox', permit(mail('a@example.com')), alt(mail('b@example.com'))],
    ['a URI of another host', permit(uri('example.com')), alt(uri('https://example.com.evil.test/'))],
    ['a URI without a host', exclude(uri('example.com')), alt(uri('urn:x'))],
    ['another directory', permit(der(0xa4, derName({ commonName: 'Acme' }))), readNames(derName({ commonName: 'Acm' }), undefined)],
    ['an excluded directory in capitals', exclude(der(0xa4, common(derText('acme')))), readNames(common(derText('ACME')), undefined)],
    ['one spaced out', exclude(der(0xa4, common(derText('acme co')))), readNames(common(derText(' acme  co')), undefined)],
    ['one in another type of string', exclude(der(0xa4, common(derText('acme')))), readNames(common(derText('acme', 0x13)), undefined)],
    ['one in two octets a letter', exclude(der(0xa4, common(derText('ab')))), readNames(common(derText('\0a\0B', 0x1e)), undefined)],
    ['one in four octets a letter', exclude(der(0xa4, common(derText('a')))), readNames(common(derText('\0\0\0A', 0x1c)), undefined)],
    ['a permitted directory in capitals', permit(der(0xa4, common(derText('acme')))), readNames(common(derText('ACME')), undefined)],
    ['a kind of name that nobody understands', permit(derText('x', 0x88)), alt()],
  ])('refuse %s', (_, constraints, names) => {
    expect(violation(constraints, names)).toMatch(/./)
  })

  test('are refused with a minimum or a maximum', () => {
    expect(() => readNameConstraints(der(0x30, der(0xa0, der(0x30, dns('a'), derOctets(Uint8Array.of(1), 0x80)))))).toThrow(/minimum/)
  })
})
