import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { type Der, NotDer, oidOf, readDer } from './der.ts'
import { keyOid, signatureOid } from './oids.ts'

/** The kinds of key that a chain may have. */
export type KeyKind = 'P-256' | 'P-384' | 'Ed25519'

/** A public key of an allowed kind, or why it is none. */
export type PublicKey = { readonly kind: KeyKind; readonly key: KeyObject } | { readonly problem: string }

/** SHA-256 of a SubjectPublicKeyInfo in lower case hex: how a key is known. */
export function keyIdOf(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex')
}

const curves: Readonly<Record<string, { kind: KeyKind; pointBytes: number }>> = {
  [keyOid.p256]: { kind: 'P-256', pointBytes: 65 },
  [keyOid.p384]: { kind: 'P-384', pointBytes: 97 },
}

/** Reads a SubjectPublicKeyInfo; a point that is not on its curve is refused here. */
export function readPublicKey(spki: Uint8Array): PublicKey {
  try {
    const kind = kindOf(readDer(spki))
    if (typeof kind !== 'string') return kind
    return { kind, key: createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }) }
  } catch (error) {
    return {
      problem: error instanceof NotDer ? `expected a public key, found ${error.message}` : 'expected a point on the curve, found another',
    }
  }
}

function kindOf({ children: [algorithm, bits, more] }: Der): KeyKind | { readonly problem: string } {
  const [oid, parameters, extra] = algorithm?.children ?? []
  if (oid?.tag !== 0x06 || bits?.tag !== 0x03 || more !== undefined || extra !== undefined || bits.value[0] !== 0) {
    return { problem: 'expected a public key, found another structure' }
  }
  const name = oidOf(oid.value)
  if (name === keyOid.ed25519) {
    return parameters === undefined && bits.value.length === 33
      ? 'Ed25519'
      : { problem: 'expected an Ed25519 key of 32 bytes, found another' }
  }
  const curve = name === keyOid.ecPublicKey && parameters?.tag === 0x06 ? curves[oidOf(parameters.value)] : undefined
  if (curve === undefined) return { problem: `expected a key on P-256, P-384 or Ed25519, found one of ${name}` }
  // RFC 5480, 2.2: uncompressed. A compressed point is allowed there, and no device sends one.
  if (bits.value.length !== curve.pointBytes + 1 || bits.value[1] !== 0x04) {
    return { problem: `expected an uncompressed point of ${curve.pointBytes} bytes, found ${bits.value.length - 1}` }
  }
  return curve.kind
}

/** A hash for ECDSA; Ed25519 has its own. */
export type SignatureAlgorithm = { readonly name: 'ecdsa'; readonly hash: 'sha256' | 'sha384' | 'sha512' } | { readonly name: 'ed25519' }

const ecdsa: Readonly<Record<string, SignatureAlgorithm>> = {
  [signatureOid.ecdsaSha256]: { name: 'ecdsa', hash: 'sha256' },
  [signatureOid.ecdsaSha384]: { name: 'ecdsa', hash: 'sha384' },
  [signatureOid.ecdsaSha512]: { name: 'ecdsa', hash: 'sha512' },
}

/** Reads an AlgorithmIdentifier; undefined where it is none of the allowed ones. */
export function readSignatureAlgorithm(bytes: Uint8Array): SignatureAlgorithm | undefined {
  try {
    const [oid, parameters, more] = readDer(bytes).children
    if (oid?.tag !== 0x06 || more !== undefined) return undefined
    const name = oidOf(oid.value)
    if (name === signatureOid.ed25519) return parameters === undefined ? { name: 'ed25519' } : undefined
    // RFC 5758, 3.2: no parameters. mbedTLS 2.28 writes NULL, and devices with it are in the field.
    return parameters === undefined || parameters.tag === 0x05 ? ecdsa[name] : undefined
  } catch (error) {
    if (error instanceof NotDer) return undefined
    throw error
  }
}

/** Whether this algorithm may be used with this key: no hash that is weaker than the curve. */
export function isAllowed(algorithm: SignatureAlgorithm | undefined, { kind }: { readonly kind: KeyKind }): boolean {
  if (algorithm === undefined) return false
  if (algorithm.name === 'ed25519') return kind === 'Ed25519'
  return kind === 'P-256' || (kind === 'P-384' && algorithm.hash !== 'sha256')
}

/** Whether a signature over bytes is by this key. False for every signature that is malformed. */
export function isSignedBy(
  key: { readonly key: KeyObject },
  algorithm: SignatureAlgorithm,
  bytes: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    return verify(algorithm.name === 'ed25519' ? null : algorithm.hash, bytes, key.key, signature)
  } catch {
    return false
  }
}

/** The algorithm that a device signs with by a key of this kind. */
export function algorithmFor(kind: KeyKind): SignatureAlgorithm {
  if (kind === 'Ed25519') return { name: 'ed25519' }
  return { name: 'ecdsa', hash: kind === 'P-256' ? 'sha256' : 'sha384' }
}
