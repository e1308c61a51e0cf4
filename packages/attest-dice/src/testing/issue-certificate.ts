import { createHash, sign } from 'node:crypto'
import { extensionOid, signatureOid } from '../x509/oids.ts'
import { algorithmFor } from '../x509/public-key.ts'
import type { DiceKey } from './device-key.ts'
import { der, derBits, derInteger, derName, derOctets, derOid, derTime } from './encode-der.ts'

/** One extension as it is written. */
export interface WrittenExtension {
  readonly oid: string
  readonly critical: boolean
  readonly value: Uint8Array
}

/** Everything that a certificate is made of; each part can be wrong. */
export interface CertificateParts {
  /** 0 for version 1, 2 for version 3. */
  readonly version: number
  /** The whole INTEGER in DER. */
  readonly serial: Uint8Array
  /** AlgorithmIdentifiers in DER. */
  readonly innerAlgorithm: Uint8Array
  readonly outerAlgorithm: Uint8Array
  /** Names in DER. */
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
  readonly spki: Uint8Array
  readonly extensions: readonly WrittenExtension[]
  /** Who signs. */
  readonly signer: DiceKey
  readonly hash?: 'sha1' | 'sha256' | 'sha384' | 'sha512'
}

/** Writes and signs a certificate, whatever is wrong with it. RFC 5280, 4.1. */
export function issueCertificate(parts: CertificateParts): Uint8Array {
  const { version, serial, innerAlgorithm, issuer, subject, notBefore, notAfter, spki, extensions } = parts
  const tbs = der(
    0x30,
    ...(version === 0 ? [] : [der(0xa0, derInteger(version))]),
    serial,
    innerAlgorithm,
    issuer,
    der(0x30, derTime(notBefore), derTime(notAfter)),
    subject,
    spki,
    ...(extensions.length === 0 ? [] : [der(0xa3, der(0x30, ...extensions.map(writeExtension)))]),
  )
  return signCertificate(tbs, parts)
}

/** Signs what is to be signed, whatever it is. */
export function signCertificate(
  tbs: Uint8Array,
  { outerAlgorithm, signer, hash }: Pick<CertificateParts, 'outerAlgorithm' | 'signer' | 'hash'>,
): Uint8Array {
  const signature = sign(signer.kind === 'Ed25519' ? null : (hash ?? hashOf(signer)), tbs, signer.privateKey)
  return der(0x30, tbs, outerAlgorithm, der(0x03, Uint8Array.of(0), signature))
}

function hashOf({ kind }: DiceKey): 'sha256' | 'sha384' | 'sha512' {
  const algorithm = algorithmFor(kind)
  return algorithm.name === 'ecdsa' ? algorithm.hash : 'sha512'
}

/** The AlgorithmIdentifier of a signer's signatures. */
export function algorithmOf({ kind }: DiceKey): Uint8Array {
  const oid = kind === 'Ed25519' ? signatureOid.ed25519 : kind === 'P-256' ? signatureOid.ecdsaSha256 : signatureOid.ecdsaSha384
  return der(0x30, derOid(oid))
}

function writeExtension({ oid, critical, value }: WrittenExtension): Uint8Array {
  return der(0x30, derOid(oid), ...(critical ? [der(0x01, Uint8Array.of(0xff))] : []), derOctets(value))
}

/** Twenty bytes that name a key: subject and authority key identifiers. */
export function keyIdentifierOf({ spki }: Pick<DiceKey, 'spki'>): Uint8Array {
  const id = createHash('sha256').update(spki).digest().subarray(0, 20)
  // As a serial number too, it must be positive and keep its length.
  id[0] = ((id[0] as number) & 0x3f) | 0x40
  return new Uint8Array(id)
}

/** The parts of a good certificate for `key` by `issuer`. */
export function goodParts(
  key: DiceKey,
  issuer: { readonly key: DiceKey; readonly subject: Uint8Array },
  more: {
    readonly subject: Uint8Array
    readonly authority: boolean
    readonly notBefore: Date
    readonly notAfter: Date
    readonly extensions: readonly WrittenExtension[]
  },
): CertificateParts {
  const id = keyIdentifierOf(key)
  const { subject, authority, notBefore, notAfter } = more
  return {
    version: 2,
    serial: derOctets(id, 0x02),
    innerAlgorithm: algorithmOf(issuer.key),
    outerAlgorithm: algorithmOf(issuer.key),
    issuer: issuer.subject,
    subject,
    notBefore,
    notAfter,
    spki: key.spki,
    signer: issuer.key,
    extensions: [
      { oid: extensionOid.authorityKeyIdentifier, critical: false, value: der(0x30, derOctets(keyIdentifierOf(issuer.key), 0x80)) },
      { oid: extensionOid.subjectKeyIdentifier, critical: false, value: derOctets(id) },
      // 0 digitalSignature, 5 keyCertSign
      { oid: extensionOid.keyUsage, critical: true, value: derBits([authority ? 5 : 0]) },
      { oid: extensionOid.basicConstraints, critical: true, value: authority ? der(0x30, der(0x01, Uint8Array.of(0xff))) : der(0x30) },
      ...more.extensions,
    ],
  }
}

/** The name that a DICE certificate has: the identifier of its key. */
export function nameOf(key: DiceKey, commonName?: string): Uint8Array {
  return derName({ ...(commonName === undefined ? {} : { commonName }), serialNumber: Buffer.from(keyIdentifierOf(key)).toString('hex') })
}
