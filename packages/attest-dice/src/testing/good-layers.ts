import type { ReferenceValue } from '../claims/reference-values.ts'
import type { WrittenLayer } from './write-claims.ts'

/** The layers of the good device. */
export const goodLayers: readonly WrittenLayer[] = [
  { vendor: 'example', model: 'lamp', layer: 1, svn: 3, fwids: [{ hashAlg: 'sha256', digest: '11'.repeat(32) }] },
  { vendor: 'example', model: 'lamp', layer: 2, svn: 5, fwids: [{ hashAlg: 'sha256', digest: '22'.repeat(32) }] },
]

/** The same for Open DICE. */
export const goodOpenDiceLayers: readonly WrittenLayer[] = [
  { fwids: [{ hashAlg: 'sha512', digest: '33'.repeat(64) }] },
  { fwids: [{ hashAlg: 'sha512', digest: '44'.repeat(64) }] },
]

/** What is known of the good device, of either profile. */
export const goodReferenceValues: readonly ReferenceValue[] = [
  { environment: { vendor: 'example', layer: 1 }, fwids: [{ hashAlg: 'sha256', digest: '11'.repeat(32) }], minSvn: 2 },
  { environment: { vendor: 'example', layer: 2 }, fwids: [{ hashAlg: 'sha256', digest: '22'.repeat(32) }], minSvn: 5 },
  { environment: { layer: 1 }, fwids: [{ hashAlg: 'sha512', digest: '33'.repeat(64) }] },
  { environment: { layer: 2 }, fwids: [{ hashAlg: 'sha512', digest: '44'.repeat(64) }] },
]
