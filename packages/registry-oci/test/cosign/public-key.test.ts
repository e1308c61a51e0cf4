import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { digestOf } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { formatPem } from '../../src/cosign/pem.ts'
import { parsePublicKey } from '../../src/cosign/public-key.ts'
import { ecKey, edKey, rsaKey, utf8 } from './scene.ts'

const spki = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' })
const pem = (key: KeyObject): string => createPublicKey(key).export({ type: 'spki', format: 'pem' }) as string

describe('parsePublicKey', () => {
  test.each([
    ['rsa', () => rsaKey(2048)],
    ['ecdsa-p256', () => ecKey('P-256')],
    ['ecdsa-p384', () => ecKey('P-384')],
    ['ecdsa-p521', () => ecKey('P-521')],
    ['ed25519', edKey],
  ])('reads %s as PEM, PEM bytes and DER, with one identity', (algorithm, make) => {
    const key = make()
    const forms = [pem(key), utf8(pem(key)), utf8(`\n  ${pem(key)}`.replaceAll('\n', '\r\n')), new Uint8Array(spki(key))]
    for (const form of forms) {
      expect(parsePublicKey(form)).toMatchObject({ algorithm, identity: `key:${digestOf(spki(key))}`, pem: pem(key) })
    }
  })

  test('refuses one key in a second form, which would count as a second key', () => {
    const key = ecKey('P-256')
    const { x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' })
    const sign = 2 + ((Buffer.from(y, 'base64url').at(-1) ?? 0) & 1)
    const compressed = Buffer.concat([
      Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex'),
      Buffer.from([sign]),
      Buffer.from(x, 'base64url'),
    ])
    expect(createPublicKey({ key: compressed, format: 'der', type: 'spki' }).equals(createPublicKey(key))).toBe(true)
    expect(() => parsePublicKey(compressed)).toThrow(expect.objectContaining({ code: 'PUBLIC_KEY_INVALID' }))
    expect(() => parsePublicKey(Buffer.concat([spki(key), Buffer.from([0])]))).toThrow(
      expect.objectContaining({ code: 'PUBLIC_KEY_INVALID' }),
    )
  })

  test.each([
    ['RSA with 1024 bits', () => rsaKey(1024), 'PUBLIC_KEY_WEAK'],
    ['RSA with the exponent 3', () => rsaKey(2048, 3), 'PUBLIC_KEY_WEAK'],
    ['P-224', () => ecKey('P-224'), 'PUBLIC_KEY_INVALID'],
    ['secp256k1', () => ecKey('secp256k1'), 'PUBLIC_KEY_INVALID'],
    ['RSA-PSS', () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey, 'PUBLIC_KEY_INVALID'],
    ['Ed448', () => generateKeyPairSync('ed448').privateKey, 'PUBLIC_KEY_INVALID'],
    ['X25519', () => generateKeyPairSync('x25519').privateKey, 'PUBLIC_KEY_INVALID'],
  ])('refuses %s', (_, make, code) => {
    expect(() => parsePublicKey(pem(make()))).toThrow(expect.objectContaining({ code, fault: 'invalid' }))
  })

  test.each([
    ['a private key', () => ecKey('P-256').export({ type: 'pkcs8', format: 'pem' }) as string, 'found PRIVATE KEY'],
    ['a PKCS #1 key', () => createPublicKey(rsaKey(2048)).export({ type: 'pkcs1', format: 'pem' }) as string, 'found RSA PUBLIC KEY'],
    ['a certificate', () => formatPem('CERTIFICATE', utf8('no')), 'found CERTIFICATE'],
    ['other DER', () => formatPem('PUBLIC KEY', utf8('no')), 'not a DER SubjectPublicKeyInfo'],
    ['two keys', () => pem(edKey()) + pem(edKey()), 'not one block of base64'],
    ['nothing', () => '', 'does not begin'],
  ])('refuses %s and shows none of it', (_, make, why) => {
    const text = make()
    const body = text.split('\n')[1] ?? 'no such text'
    let message = ''
    try {
      parsePublicKey(text)
    } catch (error) {
      message = (error as Error).message
      expect(error).toMatchObject({ code: 'PUBLIC_KEY_INVALID', fault: 'invalid' })
    }
    expect(message).toContain(why)
    expect(message).not.toContain(body.slice(0, 20))
  })

  test.each([0, 0x80])('refuses Ed25519 points of small order, under which anybody can sign (sign bit %i)', (signBit) => {
    const points = [
      '0000000000000000000000000000000000000000000000000000000000000000',
      '0100000000000000000000000000000000000000000000000000000000000000',
      '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
      'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    ]
    for (const point of points) {
      const der = Buffer.from(`302a300506032b6570032100${point}`, 'hex')
      der[43] = (der[43] ?? 0) | signBit
      expect(() => parsePublicKey(der)).toThrow(expect.objectContaining({ code: 'PUBLIC_KEY_WEAK' }))
    }
  })
})
