import { createHash } from 'node:crypto'
import { type BaseBlock, fromBER, type Sequence } from 'asn1js'
import { AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, ExtKeyUsage, Certificate as ParsedCertificate } from 'pkijs'
import { type Claims, readClaims } from '../claims/claims.ts'
import { NotDer, readDer } from './der.ts'
import { type NameConstraints, type Names, readNameConstraints, readNames } from './name-constraints.ts'
import { extensionOid } from './oids.ts'
import { keyIdOf, type PublicKey, readPublicKey, readSignatureAlgorithm, type SignatureAlgorithm } from './public-key.ts'
import { readTime } from './time.ts'

export interface Extension {
  readonly oid: string
  readonly critical: boolean
  readonly value: Uint8Array
}

/** One X.509 certificate, read but not judged. RFC 5280, 4.1. */
export interface Certificate {
  readonly der: Uint8Array
  /** 1 to 3. */
  readonly version: number
  /** Content of the INTEGER. */
  readonly serial: Uint8Array
  readonly tbs: Uint8Array
  readonly signature: Uint8Array
  /** The AlgorithmIdentifiers as they were sent: in what is signed, and beside it. */
  readonly innerAlgorithm: Uint8Array
  readonly outerAlgorithm: Uint8Array
  readonly algorithm: SignatureAlgorithm | undefined
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly notBefore: Date
  /** Undefined for 99991231235959Z: RFC 5280, 4.1.2.5, no well-defined expiry. */
  readonly notAfter: Date | undefined
  readonly key: PublicKey
  readonly keyId: string
  readonly extensions: readonly Extension[]
  readonly isAuthority: boolean
  readonly pathLength: number | undefined
  readonly keyUsage: { readonly digitalSignature: boolean; readonly keyCertSign: boolean } | undefined
  /** Extended key usages and certificate policies. */
  readonly purposes: readonly string[]
  readonly subjectKeyId: Uint8Array | undefined
  readonly authorityKeyId: Uint8Array | undefined
  readonly nameConstraints: NameConstraints | undefined
  readonly names: Names
  readonly claims: Claims
  /** Why it is not DER; it was read leniently then, so that everything else that is wrong can be told too. */
  readonly encodingProblem: string | undefined
  readonly extensionProblems: readonly string[]
}

/** Says why bytes are no certificate at all. Internal: it never leaves the package. */
export class NotACertificate extends Error {
  override readonly name = 'NotACertificate'
}

/** Twice what the largest certificate of DICE needs: asn1js looks into octet strings too, and each element costs it 10 microseconds. */
const berLimits = { maxDepth: 24, maxNodes: 1_024, maxContentLength: 64 * 1024 }

/** @throws NotACertificate */
export function readCertificate(der: Uint8Array): Certificate {
  try {
    return read(der)
  } catch (error) {
    if (error instanceof NotACertificate) throw error
    // asn1js and pkijs throw plain errors of many kinds; whatever they choke on is no certificate.
    throw new NotACertificate(error instanceof Error ? error.message.slice(0, 200) : 'unreadable', { cause: error })
  }
}

function read(der: Uint8Array): Certificate {
  const encodingProblem = notDer(der)
  const asn1 = fromBER(der, berLimits)
  if (asn1.offset === -1) throw new NotACertificate(`expected ASN.1, found ${asn1.result.error.slice(0, 200)}`)
  const parsed = new ParsedCertificate({ schema: asn1.result })
  const [tbs, outerAlgorithm] = parts(asn1.result)
  if (tbs === undefined || outerAlgorithm === undefined) throw new NotACertificate('expected a certificate, found another structure')
  const fields = parts(tbs)
  const from = fields[0]?.idBlock.tagClass === 3 ? 1 : 0
  const [serial, innerAlgorithm, issuer, validity, subject, spki] = fields.slice(from, from + 6).map((field) => field.valueBeforeDecodeView)
  if (!serial || !innerAlgorithm || !issuer || !validity || !subject || !spki)
    throw new NotACertificate('expected a certificate, found fewer fields')
  const [notBefore, notAfter] = parts(fields[from + 3] as BaseBlock).map((time) => readTime(time.valueBeforeDecodeView))
  if (notBefore === undefined || notAfter === undefined) throw new NotACertificate('expected times in the form of RFC 5280, 4.1.2.5')
  const extensions = (parsed.extensions ?? []).map(({ extnID, critical, extnValue }) => ({
    oid: extnID,
    critical,
    value: extnValue.valueBlock.valueHexView,
  }))
  if (parsed.signatureValue.valueBlock.unusedBits !== 0) throw new NotACertificate('expected a signature of whole bytes')
  return {
    der,
    version: parsed.version + 1,
    serial: parsed.serialNumber.valueBlock.valueHexView,
    tbs: tbs.valueBeforeDecodeView,
    signature: parsed.signatureValue.valueBlock.valueHexView,
    innerAlgorithm,
    outerAlgorithm: outerAlgorithm.valueBeforeDecodeView,
    algorithm: readSignatureAlgorithm(outerAlgorithm.valueBeforeDecodeView),
    issuer,
    subject,
    notBefore,
    // 9999-12-31T23:59:59Z
    notAfter: notAfter.getTime() === 253_402_300_799_000 ? undefined : notAfter,
    key: readPublicKey(spki),
    keyId: keyIdOf(spki),
    extensions,
    ...readExtensions(extensions, subject),
    claims: readClaims(extensions),
    encodingProblem,
  }
}

function notDer(der: Uint8Array): string | undefined {
  try {
    readDer(der)
    return undefined
  } catch (error) {
    if (error instanceof NotDer) return error.message
    throw error
  }
}

const parts = (block: BaseBlock): readonly BaseBlock[] => (block as Sequence).valueBlock.value as BaseBlock[]

type Known = Pick<
  Certificate,
  | 'isAuthority'
  | 'pathLength'
  | 'keyUsage'
  | 'purposes'
  | 'subjectKeyId'
  | 'authorityKeyId'
  | 'nameConstraints'
  | 'names'
  | 'extensionProblems'
>

function readExtensions(extensions: readonly Extension[], subject: Uint8Array): Known {
  const problems: string[] = []
  const known = <T>(name: keyof typeof extensionOid, readValue: (value: Uint8Array) => T): T | undefined => {
    const found = extensions.find(({ oid }) => oid === extensionOid[name])
    if (found === undefined) return undefined
    try {
      readDer(found.value)
      return readValue(found.value)
    } catch (error) {
      problems.push(`${name}: ${error instanceof Error ? error.message.slice(0, 200) : 'unreadable'}`)
      return undefined
    }
  }
  const constraints = known('basicConstraints', readBasicConstraints)
  const names = known('subjectAltName', (value) => readNames(subject, value))
  return {
    isAuthority: constraints?.isAuthority ?? false,
    pathLength: constraints?.pathLength,
    keyUsage: known('keyUsage', readKeyUsage),
    purposes: [
      ...(known('extKeyUsage', (value) => new ExtKeyUsage({ schema: fromBER(value).result }).keyPurposes) ?? []),
      ...(known('certificatePolicies', readPolicies) ?? []),
    ],
    subjectKeyId: known('subjectKeyIdentifier', (value) => octets(readDer(value))),
    authorityKeyId: known('authorityKeyIdentifier', readAuthorityKeyId),
    nameConstraints: known('nameConstraints', readNameConstraints),
    names: names ?? readNames(subject, undefined),
    extensionProblems: problems,
  }
}

function readBasicConstraints(value: Uint8Array) {
  const { cA, pathLenConstraint } = new BasicConstraints({ schema: fromBER(value).result })
  // pkijs gives a big integer as an object; a path is never that long.
  if (pathLenConstraint !== undefined && (typeof pathLenConstraint !== 'number' || pathLenConstraint < 0)) {
    throw new NotDer('a path length that is no small number')
  }
  return { isAuthority: cA, pathLength: pathLenConstraint }
}

function readKeyUsage(value: Uint8Array) {
  const { tag, value: bits } = readDer(value)
  const first = bits[1]
  if (tag !== 0x03 || first === undefined) throw new NotDer('a key usage without any')
  return { digitalSignature: (first & 0x80) !== 0, keyCertSign: (first & 0x04) !== 0 }
}

function readPolicies(value: Uint8Array): readonly string[] {
  const { certificatePolicies } = new CertificatePolicies({ schema: fromBER(value).result })
  return certificatePolicies.map(({ policyIdentifier }) => policyIdentifier)
}

function readAuthorityKeyId(value: Uint8Array): Uint8Array | undefined {
  return new AuthorityKeyIdentifier({ schema: fromBER(value).result }).keyIdentifier?.valueBlock.valueHexView
}

function octets({ tag, value }: { readonly tag: number; readonly value: Uint8Array }): Uint8Array {
  if (tag !== 0x04) throw new NotDer('something else than an octet string')
  return value
}

/** SHA-256 of the whole certificate in lower case hex. */
export function fingerprintOf({ der }: Pick<Certificate, 'der'>): string {
  return createHash('sha256').update(der).digest('hex')
}
