import { createECDH, createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto'
import { type KeyKind, keyIdOf } from '../x509/public-key.ts'

/** A key pair of a device or an authority. */
export interface DiceKey {
  readonly kind: KeyKind
  readonly privateKey: KeyObject
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
  /** SHA-256 of it in lower case hex. */
  readonly keyId: string
}

/** Derives a key from a secret, as a DICE layer does from its CDI: the same secret and label, the same key. */
export function diceKey(kind: KeyKind, secret: string | Uint8Array, label = ''): DiceKey {
  const seed = Buffer.from(hkdfSync('sha512', secret, 'reflash test keys', `${kind} ${label}`, kind === 'P-384' ? 48 : 32))
  const privateKey = kind === 'Ed25519' ? ed25519(seed) : elliptic(kind, seed)
  const spki = new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }))
  return { kind, privateKey, spki, keyId: keyIdOf(spki) }
}

function ed25519(seed: Buffer): KeyObject {
  // RFC 8410, 7: PKCS #8 of a seed.
  return createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
    format: 'der',
    type: 'pkcs8',
  })
}

function elliptic(kind: 'P-256' | 'P-384', seed: Buffer): KeyObject {
  // Both orders begin with FF: a seed that does not is below them.
  seed[0] = (seed[0] as number) & 0x7f
  const curve = createECDH(kind === 'P-256' ? 'prime256v1' : 'secp384r1')
  curve.setPrivateKey(seed)
  const point = curve.getPublicKey()
  const half = (point.length - 1) / 2
  const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
  const jwk = {
    kty: 'EC',
    crv: kind,
    x: base64url(point.subarray(1, 1 + half)),
    y: base64url(point.subarray(1 + half)),
    d: base64url(seed),
  }
  return createPrivateKey({ key: jwk, format: 'jwk' })
}
