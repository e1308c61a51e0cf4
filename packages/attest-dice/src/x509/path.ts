import type { Anchor } from './anchor.ts'
import type { Certificate } from './certificate.ts'
import { sameBytes } from './der.ts'
import { isSignedBy, type PublicKey } from './public-key.ts'

/** A certificate and who issued it. Index 0 is the leaf; the anchor's is the length of the chain. */
export interface Link {
  readonly index: number
  readonly child: Certificate
  readonly issuer: Issuer
}

/** The next certificate of the chain, or the anchor. */
export interface Issuer {
  readonly key: PublicKey
  readonly keyId: string
  /** Absent for an anchor that is a bare key. */
  readonly certificate?: Certificate
}

/** A chain as it is judged: the certificates that a device presented, leaf first, up to the first that is an anchor, which is left out. */
export interface Path {
  readonly chain: readonly Certificate[]
  readonly anchor: Anchor | undefined
  readonly links: readonly Link[]
}

/** Anchors of one name that are tried: roots that were renewed, not more. */
const candidateLimit = 8

/**
 * Finds the anchor of a chain by what the operator trusts: by the key of a presented certificate, or as the issuer of the last one. What the
 * device sends is never an anchor by itself.
 */
export function pathOf(presented: readonly Certificate[], anchors: readonly Anchor[], seen: SignatureMemory): Path {
  const anchorOf = ({ keyId, subject }: Certificate): Anchor | undefined =>
    anchors.find((anchor) => anchor.keyId === keyId && (anchor.certificate === undefined || sameBytes(anchor.certificate.subject, subject)))
  const at = presented.findIndex((certificate) => anchorOf(certificate) !== undefined)
  const chain = at === -1 ? presented : presented.slice(0, at)
  const anchor = at === -1 ? issuerOf(chain.at(-1), anchors, seen) : anchorOf(presented[at] as Certificate)
  const above = chain.length === 0 || anchor === undefined ? [] : [anchor]
  const issuers: Issuer[] = [...chain.slice(1), ...above].map((issuer) =>
    'der' in issuer ? { key: issuer.key, keyId: issuer.keyId, certificate: issuer } : issuer,
  )
  return { chain, anchor, links: issuers.map((issuer, index) => ({ index, child: chain[index] as Certificate, issuer })) }
}

// By name or by key identifier, so that a wrong name under the right key is told as what it is; then the one whose key has signed.
function issuerOf(last: Certificate | undefined, anchors: readonly Anchor[], seen: SignatureMemory): Anchor | undefined {
  if (last === undefined) return undefined
  const named = anchors.filter(({ certificate }) => {
    if (certificate === undefined) return false
    const { subject, subjectKeyId } = certificate
    const { issuer, authorityKeyId } = last
    return (
      sameBytes(subject, issuer) || (subjectKeyId !== undefined && authorityKeyId !== undefined && sameBytes(subjectKeyId, authorityKeyId))
    )
  })
  // A bare key is tried, and is nobody's issuer where it has not signed.
  const candidates = [...named, ...anchors.filter(({ certificate }) => certificate === undefined)].slice(0, candidateLimit)
  return candidates.find((anchor) => seen.isSigned(last, anchor)) ?? named[0]
}

/** Remembers which certificates were found to be signed by which keys, so that a chain that is shown again costs no signature. */
export interface SignatureMemory {
  isSigned(child: Certificate, issuer: Issuer): boolean
}

/** Makes a memory that lasts as long as the certificates that it knows; only what verified is remembered. */
export function signatureMemory(): SignatureMemory {
  const good = new WeakMap<Certificate, Set<string>>()
  return {
    isSigned(child, issuer) {
      if ('problem' in issuer.key || child.algorithm === undefined) return false
      if (good.get(child)?.has(issuer.keyId) === true) return true
      const signed = isSignedBy(issuer.key, child.algorithm, child.tbs, child.signature)
      if (!signed) return false
      const issuers = good.get(child) ?? new Set()
      issuers.add(issuer.keyId)
      good.set(child, issuers)
      return true
    },
  }
}
