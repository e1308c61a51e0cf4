import type { Evidence } from '@reflash/core'
import { type ChainLayer, type ChainOptions, evidenceOf, type IssuedChain, issueChain, type ProofChallenge } from './issue-chain.ts'

export interface DiceDeviceOptions extends Omit<ChainOptions, 'layers'> {
  /** As the device is known to the server. */
  readonly deviceId: string
  /** What runs now, from the first layer to the last: asked at each boot, and again for each proof. */
  readonly measure: () => readonly ChainLayer[]
}

/** A device that attests: its chain follows from what it measures. */
export interface DiceDevice {
  /** The root of the maker, in PEM: what a verifier trusts. */
  readonly rootPem: string
  /** What it is, whatever it runs: what a verifier's `identities` lists. */
  readonly identity: string
  /** Answers a challenge with what runs now. */
  prove(challenge: Omit<ProofChallenge, 'deviceId'>): Evidence
  /** The chain of what runs now. */
  chain(): IssuedChain
}

/** Makes a device whose DICE measures whatever `measure` tells, such as the hash of a virtual chip's flash. */
export function diceDevice({ deviceId, measure, ...options }: DiceDeviceOptions): DiceDevice {
  const chain = (): IssuedChain => issueChain({ secret: deviceId, ...options, layers: measure() })
  const { rootPem, keys } = chain()
  // The DeviceID below root and authority; the UDS of Open DICE is the root itself.
  const device = keys.at(options.profile === 'open-dice' ? -1 : -3)
  return {
    rootPem,
    identity: `key:${device?.keyId}`,
    chain,
    prove: (challenge) => evidenceOf(chain(), { ...challenge, deviceId }),
  }
}
