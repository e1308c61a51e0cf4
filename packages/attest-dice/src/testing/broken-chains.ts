import type { Evidence } from '@reflash/core'
import type { diceErrors } from '../dice-errors.ts'
import type { DiceVerifierOptions } from '../dice-verifier.ts'
import type { DiceProof } from '../evidence.ts'
import { certificateFaults } from './faults/certificate-faults.ts'
import { claimFaults } from './faults/claim-faults.ts'
import { deviceFaults } from './faults/device-faults.ts'
import { pathFaults } from './faults/path-faults.ts'
import { proofFaults } from './faults/proof-faults.ts'
import { goodLayers, goodOpenDiceLayers, goodReferenceValues } from './good-layers.ts'
import { type ChainOptions, evidenceOf, type IssuedChain, issueChain, type ProofChallenge } from './issue-chain.ts'

/** One thing that is wrong with evidence, or may look so and is not. */
export interface BrokenChain {
  readonly name: string
  /** The checks that fail on it, and no others; none where it must be affirmed. */
  readonly fails: readonly (keyof typeof diceErrors)[]
  readonly options: DiceVerifierOptions
  readonly evidence: Evidence
  /** What the device is asked for; the evidence may be for something else. */
  readonly challenge: ProofChallenge
  /** Good evidence of the same device, to be appraised before. */
  readonly before?: Evidence
  /** The identity that was enrolled. */
  readonly enrolled?: string
  readonly now: Date
}

/** What is wrong, in terms of a good chain. */
export interface Fault {
  readonly name: string
  readonly fails: BrokenChain['fails']
  readonly chain?: Partial<ChainOptions>
  /** Changes what is shown after it was issued. */
  readonly show?: (chain: IssuedChain) => Partial<Pick<IssuedChain, 'certificates' | 'leafKey'>>
  /** What the device proves, and what it says that it proves. */
  readonly proves?: Partial<ProofChallenge>
  readonly says?: Partial<DiceProof>
  /** Makes the evidence otherwise altogether. */
  readonly evidence?: (chain: IssuedChain, challenge: ProofChallenge) => Evidence
  readonly asked?: Partial<ProofChallenge>
  readonly options?: (chain: IssuedChain) => Partial<DiceVerifierOptions>
  readonly before?: Partial<ChainOptions>
  readonly enrolled?: string
  readonly now?: Date
}

const faultNow = new Date('2026-06-01T00:00:00Z')

/** Everything that a verifier of DICE must refuse, and a few oddities that it must not: issued anew at each call. */
export function brokenChains(algorithm: NonNullable<ChainOptions['algorithm']> = 'P-256'): readonly BrokenChain[] {
  return [...certificateFaults, ...pathFaults, ...proofFaults, ...claimFaults, ...deviceFaults].map((fault) => broken(fault, algorithm))
}

function broken(fault: Fault, algorithm: NonNullable<ChainOptions['algorithm']>): BrokenChain {
  const base: ChainOptions = { algorithm, layers: fault.chain?.profile === 'open-dice' ? goodOpenDiceLayers : goodLayers }
  const chain = issueChain({ ...base, ...fault.chain })
  const challenge: ProofChallenge = { nonce: new Uint8Array(32).fill(7), purpose: 'confirm', deviceId: 'd1', ...fault.asked }
  const shown = { ...chain, ...fault.show?.(chain) }
  const before = fault.before === undefined ? undefined : evidenceOf(issueChain({ ...base, ...fault.before }), challenge)
  return {
    name: fault.name,
    fails: fault.fails,
    options: {
      anchors: [fault.chain?.profile === 'open-dice' ? { certificate: chain.root, is: 'device' } : chain.root],
      identities: 'first-use',
      referenceValues: goodReferenceValues,
      ...fault.options?.(chain),
    },
    evidence: fault.evidence?.(chain, challenge) ?? evidenceOf(shown, { ...challenge, ...fault.proves }, { ...saidOf(fault, challenge) }),
    challenge,
    ...(before === undefined ? {} : { before }),
    ...(fault.enrolled === undefined ? {} : { enrolled: fault.enrolled }),
    now: fault.now ?? faultNow,
  }
}

// An honest device says what it has signed.
function saidOf({ proves = {}, says = {} }: Fault, challenge: ProofChallenge): Partial<DiceProof> {
  return { ...challenge, ...proves, ...says }
}
