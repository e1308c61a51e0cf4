import { nonceLeastBytes, nonceMostBytes } from '../proof.ts'
import { sameBytes } from '../x509/der.ts'
import { keyPurpose, keyPurposeArc } from '../x509/oids.ts'
import { algorithmFor, isSignedBy } from '../x509/public-key.ts'
import type { Finding, Scene, ShownProof, Step } from './scene.ts'

/** What the leaf is for, and whether the device has its key. */
export const leafSteps: readonly Step[] = [
  {
    name: 'LEAF_KEY_USAGE',
    group: 'leaf',
    needs: 'chain',
    find({ path: { chain }, policy }) {
      const [leaf] = chain
      if (leaf === undefined) return 'there is no leaf'
      const { keyUsage, isAuthority, claims } = leaf
      if (keyUsage?.digitalSignature === true && !keyUsage.keyCertSign && !isAuthority) return []
      // Open DICE: a CDI key certifies an attestation key; some devices show the CDI certificate itself.
      const isCdi = claims.openDice !== undefined && keyUsage?.keyCertSign === true
      if (isCdi && policy.allowCdiLeaf === true) return 'the leaf is a CDI certificate, which the policy allows'
      const found = isCdi ? 'a CDI certificate, which needs allowCdiLeaf' : 'another usage'
      return [{ certificate: 0, reason: `expected a leaf for digital signatures alone, found ${found}` }]
    },
  },
  {
    name: 'LEAF_PURPOSE',
    group: 'leaf',
    needs: 'chain',
    find({ path: { chain }, policy: { profile = 'auto' } }) {
      const [leaf] = chain
      if (leaf === undefined) return 'there is no leaf'
      if (profile === 'open-dice') return 'Open DICE names no purposes'
      const purposes = leaf.purposes.filter((oid) => oid.startsWith(keyPurposeArc))
      if (profile === 'auto' && purposes.length === 0) return 'the leaf names no purpose, and the profile is not demanded'
      if (purposes.includes(keyPurpose.attestInit) || purposes.includes(keyPurpose.attestLoc)) return []
      return [{ certificate: 0, reason: `expected the purpose to attest, found ${purposes.length === 0 ? 'none' : purposes.join(', ')}` }]
    },
  },
  {
    name: 'PROFILE',
    group: 'leaf',
    needs: 'chain',
    find({ layers, policy: { profile = 'auto' } }) {
      const wanted = profile === 'auto' ? layers[0]?.kind : profile
      return layers
        .filter(({ kind }) => kind !== wanted)
        .map(({ certificate, kind }) => ({ certificate, reason: `expected claims of ${wanted} throughout, found ${kind}` }))
    },
  },
  {
    name: 'PROOF_PRESENT',
    group: 'proof',
    needs: 'chain',
    find: ({ proof }) =>
      proof === 'not-asked'
        ? notAsked
        : proof === undefined
          ? [{ certificate: 0, reason: 'expected a proof by the key of the leaf, found none' }]
          : [],
  },
  {
    name: 'PROOF_NONCE',
    group: 'proof',
    needs: 'chain',
    find: (scene) =>
      proven(scene, ({ nonce, claimed }) => {
        if (nonce.length < nonceLeastBytes || nonce.length > nonceMostBytes) {
          return `expected a nonce of ${nonceLeastBytes} to ${nonceMostBytes} bytes, found ${nonce.length}`
        }
        return claimed === undefined || sameBytes(claimed.nonce, nonce)
          ? undefined
          : 'expected a proof for this nonce, found one for another: a replay, or too late'
      }),
  },
  {
    name: 'PROOF_PURPOSE',
    group: 'proof',
    needs: 'chain',
    find: (scene) =>
      proven(scene, ({ claimed }) =>
        claimed === undefined || claimed.purpose === scene.asked?.purpose
          ? undefined
          : `expected a proof to ${scene.asked?.purpose}, found one to ${claimed.purpose}`,
      ),
  },
  {
    name: 'PROOF_DEVICE',
    group: 'proof',
    needs: 'chain',
    find: (scene) =>
      proven(scene, ({ claimed }) =>
        claimed === undefined || claimed.deviceId === scene.asked?.deviceId
          ? undefined
          : 'expected a proof of this device, found one of another',
      ),
  },
  {
    name: 'PROOF_SIGNATURE',
    group: 'proof',
    needs: 'chain',
    find: (scene) =>
      proven(scene, ({ message, signature }) => {
        const key = scene.path.chain[0]?.key
        const isGood = key !== undefined && !('problem' in key) && isSignedBy(key, algorithmFor(key.kind), message, signature)
        return isGood ? undefined : 'expected a signature by the key of the leaf over nonce, leaf and context, found another'
      }),
  },
]

const notAsked = 'no proof was asked for'

function proven({ proof }: Scene, judge: (proof: ShownProof) => string | undefined): readonly Finding[] | string {
  if (proof === 'not-asked') return notAsked
  if (proof === undefined) return 'there is no proof'
  const reason = judge(proof)
  return reason === undefined ? [] : [{ certificate: 0, reason }]
}
