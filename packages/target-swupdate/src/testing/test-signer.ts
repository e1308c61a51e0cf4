import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { bits, der, integer, octets, oid, sequence, setOf, utcTime, utf8Text } from './der.ts'

export interface TestSignerOptions {
  /** Common name; `signer` where absent. */
  readonly name?: string
  /** The extended key usage; emailProtection, as SWUpdate asks for, where absent. */
  readonly purpose?: string
  /** An authority that issues signers; false where absent. */
  readonly ca?: boolean
  /** Who issues it; itself where absent. */
  readonly issuer?: TestSigner
  readonly notBefore?: Date
  readonly notAfter?: Date
}

/** A certificate with its P-256 key, and what it signs with. For tests alone: the key is made anew each time. */
export interface TestSigner {
  /** PEM. */
  readonly certificate: string
  /** DER. */
  readonly certificateDer: Uint8Array
  readonly privateKey: KeyObject
  /** The subject's name, DER. */
  readonly subject: Uint8Array
  /** A detached CMS signature, DER, with this certificate and those of its issuers inside. */
  sign(content: Uint8Array): Uint8Array
}

const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'))
const sha256Algorithm = sequence(oid('2.16.840.1.101.3.4.2.1'))
const emailProtection = '1.3.6.1.5.5.7.3.4'

/** Makes a signer as `openssl req -x509` and `openssl cms -sign -outform DER -nosmimecap -binary` do. RFC 5280, 4.1; RFC 5652, 5. */
export function testSigner(options: TestSignerOptions = {}): TestSigner {
  const { name = 'signer', purpose = emailProtection, ca = false, issuer } = options
  const { notBefore = new Date('2020-01-01T00:00:00Z'), notAfter = new Date('2049-01-01T00:00:00Z') } = options
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const subject = sequence(setOf(sequence(oid('2.5.4.3'), utf8Text(name))))
  const extension = (id: string, critical: boolean, value: Uint8Array): Uint8Array =>
    sequence(oid(id), ...(critical ? [der(0x01, Uint8Array.of(0xff))] : []), octets(value))
  const extensions = [
    extension('2.5.29.19', true, sequence(...(ca ? [der(0x01, Uint8Array.of(0xff))] : []))),
    // digitalSignature, or keyCertSign.
    extension('2.5.29.15', true, der(0x03, ca ? Uint8Array.of(2, 0x04) : Uint8Array.of(7, 0x80))),
    ...(ca ? [] : [extension('2.5.29.37', false, sequence(oid(purpose)))]),
  ]
  const serial = integer(1 + ((createHash('sha256').update(name).digest()[0] as number) >> 2))
  const body = sequence(
    der(0xa0, integer(2)),
    serial,
    ecdsaWithSha256,
    issuer?.subject ?? subject,
    sequence(utcTime(notBefore), utcTime(notAfter)),
    subject,
    publicKey.export({ format: 'der', type: 'spki' }),
    der(0xa3, sequence(...extensions)),
  )
  const certificateDer = sequence(body, ecdsaWithSha256, bits(sign('sha256', body, issuer?.privateKey ?? privateKey)))
  const base64 = Buffer.from(certificateDer).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return Object.freeze<TestSigner>({
    certificate: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    certificateDer,
    privateKey,
    subject,
    sign: (content) =>
      signedData(content, {
        privateKey,
        sid: sequence(issuer?.subject ?? subject, serial),
        certificates: [certificateDer, ...(issuer === undefined ? [] : [issuer.certificateDer])],
      }),
  })
}

interface Signing {
  readonly privateKey: KeyObject
  readonly sid: Uint8Array
  readonly certificates: readonly Uint8Array[]
}

function signedData(content: Uint8Array, { privateKey, sid, certificates }: Signing): Uint8Array {
  const data = oid('1.2.840.113549.1.7.1')
  const attributes = [
    sequence(oid('1.2.840.113549.1.9.3'), setOf(data)),
    sequence(oid('1.2.840.113549.1.9.4'), setOf(octets(createHash('sha256').update(content).digest()))),
  ]
  const signature = sign('sha256', setOf(...attributes), privateKey)
  const signer = sequence(integer(1), sid, sha256Algorithm, der(0xa0, ...attributes), ecdsaWithSha256, octets(signature))
  const signed = sequence(integer(1), setOf(sha256Algorithm), sequence(data), der(0xa0, ...certificates), setOf(signer))
  return sequence(oid('1.2.840.113549.1.7.2'), der(0xa0, signed))
}
