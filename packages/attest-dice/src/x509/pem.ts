import { fail } from '../dice-errors.ts'
import { NotDer, readDer } from './der.ts'

/** A block of PEM, or a file in DER, whose structure tells a certificate from a bare key. */
export interface Block {
  readonly is: 'certificate' | 'public-key'
  readonly der: Uint8Array
}

/** Ten certificates of 16 KiB in base64, and room for text between them. */
const pemLimitBytes = 512 * 1024

/**
 * Reads a file of certificates: PEM, one certificate or public key for each block (RFC 7468), or one in DER.
 * @throws `CERTIFICATES_INVALID`
 */
export function readBlocks(bytes: Uint8Array | string): readonly Block[] {
  const length = typeof bytes === 'string' ? bytes.length : bytes.byteLength
  if (length > pemLimitBytes) throw fail('CERTIFICATES_INVALID', `expected at most ${pemLimitBytes} bytes, found ${length}`)
  if (typeof bytes !== 'string' && bytes[0] === 0x30) return [{ is: isBareKey(bytes) ? 'public-key' : 'certificate', der: bytes }]
  const text = typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('latin1')
  const blocks: Block[] = []
  for (const [, label, body = '', end] of text.matchAll(
    /-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END ([A-Z0-9 ]{1,40})-----/g,
  )) {
    if (label !== end || (label !== 'CERTIFICATE' && label !== 'PUBLIC KEY')) {
      throw fail('CERTIFICATES_INVALID', `expected a block CERTIFICATE or PUBLIC KEY, found ${label} ended by ${end}`)
    }
    const base64 = body.replace(/\s/g, '')
    const der = Buffer.from(base64, 'base64')
    if (der.length === 0 || der.toString('base64') !== base64)
      throw fail('CERTIFICATES_INVALID', `block ${blocks.length + 1}: expected base64, found something else`)
    blocks.push({ is: label === 'CERTIFICATE' ? 'certificate' : 'public-key', der: new Uint8Array(der) })
  }
  const begun = text.split('-----BEGIN ').length - 1
  if (blocks.length === 0 || blocks.length !== begun) {
    throw fail('CERTIFICATES_INVALID', `expected PEM blocks or one certificate in DER, found ${blocks.length} readable of ${begun} blocks`)
  }
  return blocks
}

// SubjectPublicKeyInfo is { SEQUENCE, BIT STRING }; a certificate has three members.
function isBareKey(bytes: Uint8Array): boolean {
  try {
    const [first, second, third] = readDer(bytes).children
    return first?.tag === 0x30 && second?.tag === 0x03 && third === undefined
  } catch (error) {
    if (error instanceof NotDer) return false
    throw error
  }
}
