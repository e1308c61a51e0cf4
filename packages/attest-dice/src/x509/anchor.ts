import { fail } from '../dice-errors.ts'
import { type Certificate, NotACertificate, readCertificate } from './certificate.ts'
import { readBlocks } from './pem.ts'
import { keyIdOf, type PublicKey, readPublicKey } from './public-key.ts'

/** What is trusted to issue chains. */
export interface TrustAnchor {
  /** PEM with one certificate or public key, or its DER. A bare key has no name: any issuer name is taken for its own. */
  readonly certificate: string | Uint8Array
  /**
   * `authority` issues for many devices. `device` is the root of one device, such as the UDS certificate of Open DICE, and so its identity.
   */
  readonly is: 'authority' | 'device'
}

/** An anchor, read. */
export interface Anchor {
  readonly is: 'authority' | 'device'
  /** Absent for a bare key. */
  readonly certificate?: Certificate
  readonly key: PublicKey
  readonly keyId: string
}

/** @throws `DICE_OPTIONS_INVALID`, `CERTIFICATES_INVALID` */
export function readAnchors(anchors: readonly (string | Uint8Array | TrustAnchor)[]): readonly Anchor[] {
  if (anchors.length === 0) throw fail('DICE_OPTIONS_INVALID', 'anchors: expected at least one, found none')
  return anchors.flatMap((anchor) => {
    const { certificate, is } =
      typeof anchor === 'string' || anchor instanceof Uint8Array ? { certificate: anchor, is: 'authority' as const } : anchor
    return readBlocks(certificate).map((block) => (block.is === 'public-key' ? bareKey(block.der, is) : ofCertificate(block.der, is)))
  })
}

function bareKey(spki: Uint8Array, is: Anchor['is']): Anchor {
  const key = readPublicKey(spki)
  if ('problem' in key) throw fail('DICE_OPTIONS_INVALID', `anchors: ${key.problem}`)
  return { is, key, keyId: keyIdOf(spki) }
}

function ofCertificate(der: Uint8Array, is: Anchor['is']): Anchor {
  try {
    const certificate = readCertificate(der)
    const { key, keyId, encodingProblem } = certificate
    if (encodingProblem !== undefined)
      throw fail('DICE_OPTIONS_INVALID', `anchors: expected a certificate in DER, found ${encodingProblem}`)
    if ('problem' in key) throw fail('DICE_OPTIONS_INVALID', `anchors: ${key.problem}`)
    return { is, certificate, key, keyId }
  } catch (cause) {
    if (!(cause instanceof NotACertificate)) throw cause
    throw fail('DICE_OPTIONS_INVALID', `anchors: expected an X.509 certificate, found none: ${cause.message}`, { cause })
  }
}
