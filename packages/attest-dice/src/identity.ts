import type { Layer } from './claims/layers.ts'
import { keyPurpose } from './x509/oids.ts'
import type { Path } from './x509/path.ts'

/**
 * What a device is, best first: `ueid:<hex>`, `key:<SHA-256 of a SubjectPublicKeyInfo>`. Names in certificates are no evidence (TCG DICE,
 * 5.1.3). The key is that of the certificate which says that it identifies (tcg-dice-kp-identity), else of the one that issued the first
 * measured layer: the last key that does not change with the firmware.
 */
export function identitiesOf({ chain, anchor }: Path, layers: readonly Layer[]): readonly string[] {
  const ueid = chain.findLast(({ claims }) => claims.ueid !== undefined)?.claims.ueid
  const key = deviceKey({ chain, anchor }, layers)
  return [...(ueid === undefined ? [] : [`ueid:${Buffer.from(ueid).toString('hex')}`]), ...(key === undefined ? [] : [`key:${key}`])]
}

function deviceKey({ chain, anchor }: Pick<Path, 'chain' | 'anchor'>, layers: readonly Layer[]): string | undefined {
  const marked = chain.findLast(({ purposes }) => purposes.includes(keyPurpose.identityInit) || purposes.includes(keyPurpose.identityLoc))
  if (marked !== undefined) return marked.keyId
  const [first] = layers
  if (first === undefined) return chain.at(-1)?.keyId
  const issuer = chain[first.certificate + 1]
  // Layer 0 is the DeviceID itself; an authority's key is that of many devices.
  if (first.environment.layer !== 0) {
    if (issuer !== undefined) return issuer.keyId
    if (anchor?.is === 'device') return anchor.keyId
  }
  return chain[first.certificate]?.keyId
}
