import { createPublicKey, type KeyObject, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { describePublicKey } from '../../src/cosign/public-key.ts'
import { signingKey } from '../../src/cosign/signing-key.ts'
import { verifyBlob } from '../../src/cosign/verify-blob.ts'
import { ecKey, edKey, rsaKey, utf8 } from './scene.ts'

const message = utf8('a payload')
const publicOf = (key: KeyObject) => describePublicKey(createPublicKey(key))

const kinds: readonly (readonly [string, KeyObject, readonly (string | null)[], readonly (string | null)[]])[] = [
  ['RSA-2048', rsaKey(2048), ['sha256'], ['sha1', 'sha384', 'sha512']],
  ['P-256', ecKey('P-256'), ['sha256'], ['sha1', 'sha384', 'sha512']],
  ['P-384', ecKey('P-384'), ['sha256', 'sha384'], ['sha1', 'sha512']],
  ['P-521', ecKey('P-521'), ['sha256', 'sha512'], ['sha1', 'sha384']],
  ['Ed25519', edKey(), [null], []],
]

describe.each(kinds)('verifyBlob with %s', (_, key, accepted, refused) => {
  test('accepts what signingKey signs', async () => {
    expect(verifyBlob(publicOf(key), message, await signingKey(key).sign(message))).toBe(true)
  })

  test('accepts the documented digests and no other', () => {
    for (const digest of accepted) expect(verifyBlob(publicOf(key), message, sign(digest, message, key))).toBe(true)
    for (const digest of refused) expect(verifyBlob(publicOf(key), message, sign(digest, message, key))).toBe(false)
  })

  test('refuses another message, another key of its kind, and signatures with one bit flipped', async () => {
    const signature = await signingKey(key).sign(message)
    expect(verifyBlob(publicOf(key), utf8('a payloae'), signature)).toBe(false)
    for (const [, other] of kinds.filter(([, candidate]) => candidate !== key))
      expect(verifyBlob(publicOf(other), message, signature)).toBe(false)
    for (let bit = 0; bit < signature.length * 8; bit += 17) {
      const flipped = new Uint8Array(signature)
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(verifyBlob(publicOf(key), message, flipped)).toBe(false)
    }
  })

  test('refuses a signature with a byte more or less, none, and a huge one', async () => {
    const signature = await signingKey(key).sign(message)
    const wrong = [
      signature.subarray(1),
      signature.subarray(0, -1),
      new Uint8Array([...signature, 0]),
      new Uint8Array([0, ...signature]),
      new Uint8Array(),
      new Uint8Array(100_000),
    ]
    for (const bytes of wrong) expect(verifyBlob(publicOf(key), message, bytes)).toBe(false)
  })
})

describe('verifyBlob', () => {
  test('refuses an ECDSA signature in another encoding than DER: long length, padded integer, indefinite length, raw r and s', () => {
    const key = ecKey('P-256')
    const der = sign('sha256', message, key)
    const raw = sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' })
    const body = der.subarray(2)
    const r = der.subarray(4, 4 + (der[3] ?? 0))
    const rest = der.subarray(4 + (der[3] ?? 0))
    const forms = [
      Buffer.concat([Buffer.from([0x30, 0x81, body.length]), body]),
      Buffer.concat([Buffer.from([0x30, body.length + 1, 0x02, r.length + 1, 0]), r, rest]),
      Buffer.concat([Buffer.from([0x30, 0x80]), body, Buffer.from([0, 0])]),
      raw,
    ]
    expect(verifyBlob(publicOf(key), message, der)).toBe(true)
    for (const form of forms) expect(verifyBlob(publicOf(key), message, form)).toBe(false)
  })

  test('refuses an Ed25519 signature whose S has the group order added', () => {
    const key = edKey()
    const signature = sign(null, message, key)
    const order = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n
    let s = 0n
    for (let index = 63; index >= 32; index--) s = (s << 8n) | BigInt(signature[index] ?? 0)
    s += order
    const malleated = Buffer.from(signature)
    for (let index = 32; index < 64; index++, s >>= 8n) malleated[index] = Number(s & 0xffn)
    expect(verifyBlob(publicOf(key), message, signature)).toBe(true)
    expect(verifyBlob(publicOf(key), message, malleated)).toBe(false)
  })
})
