import { type DiceProof, encodeEvidence } from '../../evidence.ts'
import { contextOf, proofMessage } from '../../proof.ts'
import type { Fault } from '../broken-chains.ts'
import { goodLayers } from '../good-layers.ts'
import { type IssuedChain, issueChain, type ProofChallenge, signWith } from '../issue-chain.ts'

const nonce = new Uint8Array(32).fill(8)

/** A proof over the right message that says something else of itself. */
const saying =
  (says: Partial<DiceProof>): NonNullable<Fault['evidence']> =>
  ({ certificates, leafKey }: IssuedChain, challenge: ProofChallenge) => {
    const message = proofMessage(challenge.nonce, certificates[0] as Uint8Array, contextOf(challenge))
    return encodeEvidence({ certificates, proof: { ...challenge, signature: signWith(leafKey, message), ...says } })
  }

/** What is wrong with the proof. */
export const proofFaults: readonly Fault[] = [
  { name: 'no proof', fails: ['PROOF_PRESENT'], evidence: ({ certificates }) => encodeEvidence({ certificates }) },
  { name: 'a proof of another nonce: a replay', fails: ['PROOF_NONCE', 'PROOF_SIGNATURE'], proves: { nonce } },
  { name: 'a nonce that the proof only names', fails: ['PROOF_NONCE'], evidence: saying({ nonce }) },
  { name: 'a nonce that everybody could guess', fails: ['PROOF_NONCE'], asked: { nonce: new Uint8Array(15) } },
  { name: 'the beginning of the nonce', fails: ['PROOF_NONCE', 'PROOF_SIGNATURE'], proves: { nonce: new Uint8Array(16).fill(7) } },
  { name: 'a replay that names the new nonce', fails: ['PROOF_SIGNATURE'], proves: { nonce }, says: { nonce: new Uint8Array(32).fill(7) } },
  { name: 'a proof for another purpose', fails: ['PROOF_PURPOSE', 'PROOF_SIGNATURE'], proves: { purpose: 'admit' } },
  { name: 'a purpose that the proof only names', fails: ['PROOF_PURPOSE'], evidence: saying({ purpose: 'enrol' }) },
  { name: 'a proof of another device', fails: ['PROOF_DEVICE', 'PROOF_SIGNATURE'], proves: { deviceId: 'd2' } },
  { name: 'a device that the proof only names', fails: ['PROOF_DEVICE'], evidence: saying({ deviceId: 'd2' }) },
  {
    name: "another device's chain, without its key",
    fails: ['PROOF_SIGNATURE'],
    show: () => ({ leafKey: issueChain({ secret: 'another device', layers: goodLayers }).leafKey }),
  },
  { name: 'a proof by the key of the issuer', fails: ['PROOF_SIGNATURE'], show: ({ keys }) => ({ leafKey: keys[1] as (typeof keys)[0] }) },
  {
    name: 'a proof that is bound to a channel nobody knows of',
    fails: ['PROOF_SIGNATURE'],
    evidence: ({ certificates, leafKey }, challenge) => {
      const context = contextOf({ ...challenge, channelBinding: new Uint8Array(32) })
      const signature = signWith(leafKey, proofMessage(challenge.nonce, certificates[0] as Uint8Array, context))
      return encodeEvidence({ certificates, proof: { ...challenge, signature } })
    },
  },
]
