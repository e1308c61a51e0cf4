import { type KeyObject, sign, verify } from 'node:crypto'
import type { KeyAlgorithm, PublicKey } from './public-key.ts'

/**
 * The message digests of each kind of key, the one that we sign with first; `null`: the algorithm hashes by itself.
 *
 * | key     | signature                        | digests          |
 * |---------|----------------------------------|------------------|
 * | RSA     | PKCS #1 v1.5                     | SHA-256          |
 * | P-256   | ECDSA, ASN.1 DER                 | SHA-256          |
 * | P-384   | ECDSA, ASN.1 DER                 | SHA-256, SHA-384 |
 * | P-521   | ECDSA, ASN.1 DER                 | SHA-256, SHA-512 |
 * | Ed25519 | RFC 8032, 64 bytes, not prehashed| none             |
 *
 * cosign's SIGNATURE_SPEC asks for the digest of the registry, SHA-256, and that is what `cosign verify` (unless told otherwise) and
 * skopeo check. `cosign sign` since 2.6 takes the curve's own digest, as sigstore-rs and with it OtaFlux expect. Trying both gives a
 * forger nothing: both are collision resistant. Ed25519ph, which `cosign sign` since 2.6 uses, is not read by `cosign verify` either.
 */
const digests: Readonly<Record<KeyAlgorithm, readonly [string | null, ...string[]]>> = {
  rsa: ['sha256'],
  'ecdsa-p256': ['sha256'],
  'ecdsa-p384': ['sha256', 'sha384'],
  'ecdsa-p521': ['sha256', 'sha512'],
  ed25519: [null],
}

/** Whether `signature` was made over exactly these bytes with the private half of `publicKey`. */
export function verifyBlob(publicKey: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  return digests[publicKey.algorithm].some((digest) => verify(digest, bytes, publicKey.key, signature))
}

/** A signature over `bytes` which `verifyBlob` and `cosign verify` accept. */
export function signBlob(algorithm: KeyAlgorithm, privateKey: KeyObject, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sign(digests[algorithm][0], bytes, privateKey))
}
