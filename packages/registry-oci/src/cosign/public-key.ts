import { createPublicKey, type KeyObject } from 'node:crypto'
import { digestOf } from '@reflash/core'
import { fail } from './cosign-errors.ts'
import { formatPem, parsePem } from './pem.ts'

/** The names of the signature algorithms of `verifyBlob`. */
export type KeyAlgorithm = 'rsa' | 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521' | 'ed25519'

/** `key:` and the SHA-256 of the key's DER SubjectPublicKeyInfo. */
export type KeyIdentity = `key:sha256:${string}`

/** A public key that passed every check of `parsePublicKey`. */
export interface PublicKey {
  readonly algorithm: KeyAlgorithm
  readonly identity: KeyIdentity
  /** `-----BEGIN PUBLIC KEY-----`. */
  readonly pem: string
  readonly key: KeyObject
}

const curves: Readonly<Record<string, KeyAlgorithm>> = { prime256v1: 'ecdsa-p256', secp384r1: 'ecdsa-p384', secp521r1: 'ecdsa-p521' }

/** NIST SP 800-131A allows nothing below 2048; above 8192 a verification costs milliseconds and buys nothing. */
const rsaBits = { least: 2048, most: 8192 }

/**
 * Reads a public key: PEM or DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) of RSA, ECDSA on P-256, P-384 or P-521, or Ed25519.
 * @throws `PUBLIC_KEY_INVALID`, `PUBLIC_KEY_WEAK`
 */
export function parsePublicKey(source: string | Uint8Array): PublicKey {
  const der = typeof source === 'string' ? fromPem(source) : isPem(source) ? fromPem(new TextDecoder().decode(source)) : source
  let key: KeyObject
  try {
    key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' })
  } catch {
    throw refuse('it is not a DER SubjectPublicKeyInfo')
  }
  return describePublicKey(key, der)
}

/** The public half of a key that is already open, checked in the same way. */
export function describePublicKey(key: KeyObject, der: Uint8Array = key.export({ type: 'spki', format: 'der' })): PublicKey {
  const algorithm = algorithmOf(key)
  // One key must have one identity: a threshold counts identities, and a compressed point or a trailing byte would make a second one.
  const canonical = createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' }).export({ type: 'spki', format: 'der' })
  if (!canonical.equals(der))
    throw refuse('it is not in the one form that is accepted: DER with an uncompressed point and nothing behind it')
  if (algorithm === 'ed25519' && hasSmallOrder(canonical.subarray(-32))) throw weak('an Ed25519 point of small order')
  return Object.freeze({ algorithm, identity: `key:${digestOf(canonical)}` as KeyIdentity, pem: formatPem('PUBLIC KEY', canonical), key })
}

function algorithmOf(key: KeyObject): KeyAlgorithm {
  const { modulusLength = 0, publicExponent = 0n, namedCurve = 'with explicit parameters' } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return 'ed25519'
    case 'ec': {
      const algorithm = Object.hasOwn(curves, namedCurve) ? curves[namedCurve] : undefined
      if (algorithm === undefined) throw refuse(`its curve is ${namedCurve}`)
      return algorithm
    }
    case 'rsa':
      if (modulusLength < rsaBits.least || modulusLength > rsaBits.most) throw weak(`RSA with ${modulusLength} bits`)
      // Small exponents made PKCS #1 v1.5 signatures forgeable wherever a verifier read the padding loosely (CVE-2006-4339).
      if (publicExponent < 65_537n || publicExponent % 2n === 0n) throw weak(`RSA with the public exponent ${publicExponent}`)
      return 'rsa'
    default:
      throw refuse(`it is of the type ${key.asymmetricKeyType}`)
  }
}

/**
 * The y coordinates, little-endian, of the Ed25519 points whose order divides 8 (RFC 7748 and 8032; the last two are 0 and 1 written
 * as p and p + 1). Under such a "key" anybody can sign where OpenSSL is older than 3.5 (Node 22); a file of zeros is one.
 */
const smallOrder = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
])

function hasSmallOrder(point: Uint8Array): boolean {
  const y = Buffer.from(point)
  y[31] = (y[31] ?? 0) & 0x7f
  return smallOrder.has(y.toString('hex'))
}

function isPem(bytes: Uint8Array): boolean {
  // A DER key begins with 0x30, the digit zero.
  return new TextDecoder('latin1').decode(bytes.subarray(0, 64)).trimStart().startsWith('-----BEGIN ')
}

function fromPem(text: string): Uint8Array {
  const block = parsePem(text)
  if (typeof block === 'string') throw refuse(block)
  if (block.label !== 'PUBLIC KEY') throw refuse(`found ${block.label}`)
  return block.bytes
}

function refuse(why: string): Error {
  return fail('PUBLIC_KEY_INVALID', `expected a public key (-----BEGIN PUBLIC KEY-----; RSA, P-256, P-384, P-521 or Ed25519): ${why}`)
}

function weak(found: string): Error {
  return fail('PUBLIC_KEY_WEAK', `expected a key that cannot be forged (RSA: 2048 to 8192 bits, exponent 65537 or more), found ${found}`)
}
