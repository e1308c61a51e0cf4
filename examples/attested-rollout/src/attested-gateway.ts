import { type DiceVerifierOptions, diceVerifier } from '@reflash/attest-dice'
import { createGateway, type ReflashOptions, type RunningGateway } from '@reflash/core'

/** An update counts when the device proves that it runs it: its chain, fresh for each question, measures the image of the release. */
export function attestedGateway(options: Omit<ReflashOptions, 'attestation' | 'policy'>, devices: DiceVerifierOptions): RunningGateway {
  return createGateway({
    ...options,
    // Layer 2 of the devices is what releases call their application: only the release's own measurement confirms it.
    attestation: [diceVerifier({ ...devices, layerNames: { 2: 'application' }, released: [{ layer: 'application' }] })],
    policy: { attestation: 'proven' },
  })
}
