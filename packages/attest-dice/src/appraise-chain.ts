import type { ReferenceValue } from './claims/reference-values.ts'
import { type ChainAppraisal, judgeChain } from './judge-chain.ts'
import { proofMessage } from './proof.ts'
import type { DiceGroup, DicePolicy, Step } from './step/scene.ts'
import { steps } from './step/steps.ts'
import { readAnchors, type TrustAnchor } from './x509/anchor.ts'

/** A chain that is judged by itself, without a device that is asked or anything that is remembered. */
export interface ChainInput {
  /** DER, leaf first; the anchor may be left out. */
  readonly certificates: readonly Uint8Array[]
  /** PEM or DER. At least one. */
  readonly anchors: readonly (string | Uint8Array | TrustAnchor)[]
  /** The time at which the certificates must be valid. */
  readonly now: Date
  /** What the key of the leaf must have signed, and its signature; `not-asked` to judge the chain alone. */
  readonly proof: { readonly nonce: Uint8Array; readonly context: Uint8Array; readonly signature: Uint8Array } | 'not-asked'
  readonly referenceValues: readonly ReferenceValue[]
  readonly policy?: DicePolicy
  readonly layerNames?: Readonly<Record<number, string>>
}

/**
 * Judges a chain: every check is taken and reported. Pure.
 * @throws `DICE_OPTIONS_INVALID`, `CERTIFICATES_INVALID` for the anchors; never for the chain
 */
export function appraiseChain({ anchors, proof, ...input }: ChainInput): ChainAppraisal {
  const [leaf = new Uint8Array()] = input.certificates
  const shown =
    proof === 'not-asked'
      ? proof
      : { nonce: proof.nonce, signature: proof.signature, message: proofMessage(proof.nonce, leaf, proof.context) }
  return judgeChain({ ...input, anchors: readAnchors(anchors), proof: shown })
}

/** Every check of an appraisal by name and group, in the order in which they are taken and reported. */
export const diceChecks: readonly { readonly name: Step['name']; readonly group: DiceGroup }[] = Object.freeze(
  steps.map(({ name, group }) => Object.freeze({ name, group })),
)
