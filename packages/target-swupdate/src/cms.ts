import { constants, createHash, type KeyObject, verify, X509Certificate } from 'node:crypto'
import { Set as AsnSet, type AsnType, Constructed, fromBER, Integer, ObjectIdentifier, OctetString, Sequence } from 'asn1js'
import { fail } from './swupdate-errors.ts'

/** Certificates that a signature may bring along: a signer and the authorities up to its root. */
const certificateLimit = 8
const signerLimit = 8

const signedDataType = '1.2.840.113549.1.7.2'
const dataType = '1.2.840.113549.1.7.1'
const contentTypeAttribute = '1.2.840.113549.1.9.3'
const messageDigestAttribute = '1.2.840.113549.1.9.4'
const digests: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}

/** What signs with an algorithm of its own hash, or (null) with that of the signer's digest. */
const signatures: Readonly<Record<string, { readonly type: 'ec' | 'rsa' | 'rsa-pss' | 'ed25519'; readonly hash: string | null }>> = {
  '1.2.840.10045.4.3.2': { type: 'ec', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { type: 'ec', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { type: 'ec', hash: 'sha512' },
  '1.2.840.113549.1.1.1': { type: 'rsa', hash: null },
  '1.2.840.113549.1.1.11': { type: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { type: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { type: 'rsa', hash: 'sha512' },
  '1.2.840.113549.1.1.10': { type: 'rsa-pss', hash: null },
  '1.3.101.112': { type: 'ed25519', hash: null },
}

/** Purposes of a certificate that signs code or mail: the second is what SWUpdate asks for by default. Any purpose is a third. RFC 5280, 4.2.1.12. */
const purposes = ['1.3.6.1.5.5.7.3.4', '1.3.6.1.5.5.7.3.3', '2.5.29.37.0']

export interface CmsOptions {
  /** Signers themselves, or authorities that issue them. */
  readonly trusted: readonly X509Certificate[]
  readonly now: Date
}

/**
 * Checks a detached CMS signature over `content` (RFC 5652, 5.4): at least one signer is trusted and has signed exactly these bytes.
 * @throws `SWU_SIGNATURE_INVALID` with every reason
 */
export function verifyCms(content: Uint8Array, signature: Uint8Array, { trusted, now }: CmsOptions): void {
  const { certificates, signers } = parseSignedData(signature)
  const reasons: string[] = []
  for (const signer of signers) {
    const reason = refusalOf(signer, content, certificates, trusted, now)
    if (reason === undefined) return
    reasons.push(reason)
  }
  throw invalid(reasons.join('; '))
}

interface SignerInfo {
  /** The issuer and serial number, DER, or the subject key identifier. */
  readonly issuer: Uint8Array | undefined
  readonly serial: string | undefined
  readonly keyId: string | undefined
  readonly digest: string
  readonly algorithm: string
  readonly signature: Uint8Array
  /** The signed attributes as they were signed: with the tag of a SET. */
  readonly attributes: { readonly der: Uint8Array; readonly contentType: string; readonly messageDigest: Uint8Array } | undefined
}

function refusalOf(
  signer: SignerInfo,
  content: Uint8Array,
  certificates: readonly X509Certificate[],
  trusted: readonly X509Certificate[],
  now: Date,
): string | undefined {
  const certificate = [...certificates, ...trusted].find((each) => isOf(each, signer))
  if (certificate === undefined) return 'the certificate of a signer is neither in the signature nor among those trusted'
  const untrusted = refusalOfChain(certificate, certificates, trusted, now)
  if (untrusted !== undefined) return untrusted
  const { attributes, digest } = signer
  if (attributes !== undefined) {
    if (attributes.contentType !== dataType) return `expected signed data, found content of type ${attributes.contentType.slice(0, 100)}`
    const found = createHash(digest).update(content).digest()
    if (!found.equals(attributes.messageDigest)) return 'expected sw-description as it was signed, found that it was changed'
  }
  return isSigned(signer, attributes?.der ?? content, certificate.publicKey)
    ? undefined
    : 'the signature is not that of its signer over these bytes'
}

function isOf(certificate: X509Certificate, { issuer, serial, keyId }: SignerInfo): boolean {
  const parsed = namesOf(certificate)
  if (keyId !== undefined) return parsed.keyId === keyId
  return parsed.serial === serial && issuer !== undefined && Buffer.compare(parsed.issuer, issuer) === 0
}

/** A certificate that is trusted itself, or whose issuers lead to one that is, each valid now. */
function refusalOfChain(
  leaf: X509Certificate,
  certificates: readonly X509Certificate[],
  trusted: readonly X509Certificate[],
  now: Date,
): string | undefined {
  const usages = leaf.keyUsage as readonly string[] | undefined
  if (usages !== undefined && !usages.some((usage) => purposes.includes(usage))) {
    return 'expected a signer for mail or code (extended key usage), found one for another purpose'
  }
  let at = leaf
  for (let depth = 0; depth <= certificateLimit; depth++) {
    const outside = now < new Date(at.validFrom) || now > new Date(at.validTo)
    if (outside) return `expected certificates that are valid at ${now.toISOString()}, found one that is not`
    if (trusted.some((each) => each.fingerprint512 === at.fingerprint512)) return undefined
    const current = at
    const issuer = [...trusted, ...certificates].find(
      (each) => each.ca && each.fingerprint512 !== current.fingerprint512 && current.checkIssued(each) && current.verify(each.publicKey),
    )
    if (issuer === undefined) break
    at = issuer
  }
  return 'expected a signer that is trusted, or that a trusted authority has issued, found another'
}

function isSigned({ algorithm, digest, signature }: SignerInfo, bytes: Uint8Array, key: KeyObject): boolean {
  const known = signatures[algorithm]
  if (known === undefined) return false
  // The key decides what it signs with, not the message.
  const keyType = key.asymmetricKeyType === 'rsa' && known.type === 'rsa-pss' ? 'rsa-pss' : key.asymmetricKeyType
  if (keyType !== known.type) return false
  try {
    if (known.type === 'ed25519') return verify(null, bytes, key, signature)
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
    return verify(known.hash ?? digest, bytes, { key, ...(known.type === 'rsa-pss' ? pss : {}) }, signature)
  } catch {
    return false
  }
}

/** The parts of a SignedData. RFC 5652, 5.1. */
function parseSignedData(signature: Uint8Array): {
  readonly certificates: readonly X509Certificate[]
  readonly signers: readonly SignerInfo[]
} {
  const info = items(decode(signature), 'ContentInfo')
  if (oid(info[0]) !== signedDataType) throw invalid('expected CMS SignedData, found other content')
  const data = items(items(info[1], 'content')[0], 'SignedData')
  const [, digestAlgorithms, encapsulated, ...rest] = data
  if (!(digestAlgorithms instanceof AsnSet)) throw invalid('expected digest algorithms, found something else')
  const content = items(encapsulated, 'encapContentInfo')
  if (oid(content[0]) !== dataType || content.length !== 1) throw invalid('expected a detached signature over data, found another')
  const signerInfos = rest.at(-1)
  if (!(signerInfos instanceof AsnSet)) throw invalid('expected signers, found none')
  const { value } = signerInfos.valueBlock
  if (value.length === 0 || value.length > signerLimit) throw invalid(`expected 1 to ${signerLimit} signers, found ${value.length}`)
  return { certificates: certificatesOf(rest), signers: value.map(signerOf) }
}

function certificatesOf(rest: readonly AsnType[]): readonly X509Certificate[] {
  const bag = rest.find((each) => isTagged(each, 0))
  if (bag === undefined) return []
  const found = items(bag, 'certificates')
  if (found.length > certificateLimit) throw invalid(`expected at most ${certificateLimit} certificates, found ${found.length}`)
  return found.map((each) => {
    try {
      const certificate = new X509Certificate(derOf(each))
      decoded.set(certificate, each)
      return certificate
    } catch {
      throw invalid('expected X.509 certificates, found something else')
    }
  })
}

function signerOf(block: AsnType): SignerInfo {
  const [version, sid, digestAlgorithm, ...rest] = items(block, 'SignerInfo')
  if (!(version instanceof Integer)) throw invalid('SignerInfo: expected a version, found none')
  const signed = rest[0] !== undefined && isTagged(rest[0], 0) ? rest.shift() : undefined
  const [algorithm, value] = rest
  const digest = digests[oid(items(digestAlgorithm, 'digestAlgorithm')[0])]
  if (digest === undefined) throw invalid('expected SHA-256, SHA-384 or SHA-512, found another digest')
  if (!(value instanceof OctetString)) throw invalid('SignerInfo: expected a signature, found none')
  const byKey = sid !== undefined && isTagged(sid, 0)
  const issuerAndSerial = byKey ? [] : items(sid, 'issuerAndSerialNumber')
  return {
    issuer: issuerAndSerial[0] === undefined ? undefined : derOf(issuerAndSerial[0]),
    serial: issuerAndSerial[1] === undefined ? undefined : hex(contentOf(issuerAndSerial[1])),
    keyId: byKey ? hex(contentOf(sid)) : undefined,
    digest,
    algorithm: oid(items(algorithm, 'signatureAlgorithm')[0]),
    signature: contentOf(value),
    attributes: signed === undefined ? undefined : attributesOf(signed),
  }
}

function attributesOf(block: AsnType): SignerInfo['attributes'] {
  const found = new Map<string, AsnType>()
  for (const attribute of items(block, 'signedAttrs')) {
    const [type, values] = items(attribute, 'attribute')
    const name = oid(type)
    // Two values would let two readers see two digests.
    if (found.has(name)) throw invalid('signedAttrs: expected each attribute once, found one twice')
    const all = items(values, 'values')
    if (all.length !== 1 || all[0] === undefined) throw invalid('signedAttrs: expected one value, found others')
    found.set(name, all[0])
  }
  const digest = found.get(messageDigestAttribute)
  if (!(digest instanceof OctetString)) throw invalid('signedAttrs: expected a message digest, found none')
  const der = derOf(block).slice()
  // RFC 5652, 5.4: signed as a SET OF, sent as [0].
  der[0] = 0x31
  return { der, contentType: oid(found.get(contentTypeAttribute)), messageDigest: contentOf(digest) }
}

/** Those of a signature are decoded with it, and those that are trusted once. */
const decoded = new WeakMap<X509Certificate, AsnType>()

/** Issuer (DER), serial number and subject key identifier of a certificate: by these a signer names its own. RFC 5280, 4.1. */
function namesOf(certificate: X509Certificate): {
  readonly issuer: Uint8Array
  readonly serial: string
  readonly keyId: string | undefined
} {
  const block = decoded.get(certificate) ?? decode(certificate.raw)
  decoded.set(certificate, block)
  const fields = items(items(block, 'Certificate')[0], 'TBSCertificate')
  const start = fields[0] !== undefined && isTagged(fields[0], 0) ? 1 : 0
  const [serial, issuer] = [fields[start], fields[start + 2]]
  if (serial === undefined || issuer === undefined) throw invalid('expected a certificate, found a part of one')
  const extensions = fields.find((each) => isTagged(each, 3))
  const list = extensions === undefined ? [] : items(items(extensions, 'extensions')[0], 'extensions')
  const key = list.map((each) => items(each, 'extension')).find(([type]) => oid(type) === '2.5.29.14')
  const value = key?.at(-1)
  return {
    issuer: derOf(issuer),
    serial: hex(contentOf(serial)),
    keyId: value instanceof OctetString ? hex(contentOf(decode(contentOf(value)))) : undefined,
  }
}

function decode(bytes: Uint8Array): AsnType {
  let found: ReturnType<typeof fromBER> | undefined
  try {
    // Left alone, the decoder tries every string of bytes for values within it: none of them is asked for.
    found = fromBER(bytes, { parseEmbedded: false })
  } catch {
    // The decoder recurses: what nests thousands of times ends its stack.
  }
  if (found === undefined || found.offset !== bytes.length) throw invalid('expected one DER value, found something else')
  return found.result
}

function items(block: AsnType | undefined, what: string): AsnType[] {
  if (block instanceof Sequence || block instanceof AsnSet || block instanceof Constructed) return block.valueBlock.value
  throw invalid(`${what}: expected a structure, found something else`)
}

function oid(block: AsnType | undefined): string {
  if (block instanceof ObjectIdentifier) return block.valueBlock.toString()
  throw invalid('expected an object identifier, found something else')
}

function isTagged({ idBlock }: AsnType, number: number): boolean {
  return idBlock.tagClass === 3 && idBlock.tagNumber === number
}

/** The whole value with its tag and length. */
function derOf(block: AsnType): Uint8Array {
  return new Uint8Array(block.valueBeforeDecodeView)
}

function contentOf(block: AsnType): Uint8Array {
  const view = (block as { valueBlock: { valueHexView?: Uint8Array } }).valueBlock.valueHexView
  if (view === undefined) throw invalid('expected bytes, found a structure')
  return new Uint8Array(view)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function invalid(message: string): Error {
  return fail('SWU_SIGNATURE_INVALID', `sw-description.sig: ${message}`)
}
