import { constants, createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto'
import { coreError } from '@reflash/core'
import { verifyCms } from './cms.ts'
import { fail } from './swupdate-errors.ts'

/** Who may sign: certificates for SWUpdate built with CMS, as Debian's is; public keys for one built with raw RSA. */
export interface Signers {
  readonly certificates: readonly X509Certificate[]
  readonly keys: readonly KeyObject[]
}

/** Reads PEM texts. @throws `INVALID_OPTIONS`, never showing the text */
export function readSigners(texts: readonly string[]): Signers {
  const certificates: X509Certificate[] = []
  const keys: KeyObject[] = []
  for (const [index, text] of texts.entries()) {
    try {
      if (text.includes('-----BEGIN CERTIFICATE-----')) certificates.push(new X509Certificate(text))
      else if (text.includes('-----BEGIN PUBLIC KEY-----')) keys.push(createPublicKey(text))
      else throw new Error('neither')
    } catch (cause) {
      throw coreError('INVALID_OPTIONS', `signers[${index}]: expected a certificate or a public key in PEM, found something else`, {
        cause,
      })
    }
  }
  const other = keys.find(({ asymmetricKeyType }) => asymmetricKeyType !== 'rsa')
  if (other !== undefined) throw coreError('INVALID_OPTIONS', `signers: expected RSA keys, found one of type ${other.asymmetricKeyType}`)
  return { certificates, keys }
}

/**
 * Checks sw-description.sig: CMS by a trusted certificate, or the raw RSA signature (PKCS #1 v1.5 or PSS, SHA-256) of a trusted key.
 * @throws `SWU_SIGNATURE_INVALID`
 */
export function expectSigned(description: Uint8Array, signature: Uint8Array, { certificates, keys }: Signers, now: Date): void {
  const raw = keys.some((key) => signature.length * 8 === key.asymmetricKeyDetails?.modulusLength)
  if (!raw && certificates.length > 0) {
    verifyCms(description, signature, { trusted: certificates, now })
    return
  }
  const paddings = [
    { padding: constants.RSA_PKCS1_PADDING },
    { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO },
  ]
  if (keys.some((key) => paddings.some((padding) => verify('sha256', description, { key, ...padding }, signature)))) return
  throw fail('SWU_SIGNATURE_INVALID', 'sw-description.sig: expected the signature of a trusted key over sw-description, found another')
}
