import { diceVerifier } from '@reflash/attest-dice'
import { type ChainLayer, evidenceOf, issueChain } from '@reflash/attest-dice/testing'
import type { Measurement } from '@reflash/core'
import { type Challenge, evidenceVerifierSuite } from '@reflash/core/conformance'
import { describe, it } from 'vitest'

const layersOf = (measurements: readonly Measurement[]): readonly ChainLayer[] =>
  measurements.map(({ environment, digests }) => ({ ...environment, fwids: digests }))

let made = 0

describe.each([
  ['tcg', 'P-256'],
  ['tcg', 'Ed25519'],
] as const)('diceVerifier with %s chains of %s', (profile, algorithm) => {
  evidenceVerifierSuite(
    { describe, it },
    {
      async make() {
        made += 1
        const maker = `maker ${made}`
        const chainOf = ({ measurements }: Challenge) => issueChain({ profile, algorithm, maker, layers: layersOf(measurements) })
        const { root } = issueChain({ profile, algorithm, maker, layers: [{ layer: 1 }] })
        return {
          plugin: diceVerifier({ anchors: [root], identities: 'first-use', allowUnknownLayers: true }),
          issue: async (challenge) => evidenceOf(chainOf(challenge), challenge),
          carries: ['deviceId', 'purpose'],
          forgeries: [
            {
              name: 'a chain whose key the device does not have',
              forge: async (challenge) =>
                evidenceOf(
                  { ...chainOf(challenge), leafKey: issueChain({ algorithm, maker: 'thief', layers: [{ layer: 1 }] }).leafKey },
                  challenge,
                ),
            },
            {
              name: 'a device that can be debugged',
              forge: async (challenge) =>
                evidenceOf(
                  issueChain({
                    algorithm,
                    maker,
                    layers: layersOf(challenge.measurements).map((layer) => ({ ...layer, modes: ['debug'] })),
                  }),
                  challenge,
                ),
            },
          ],
          dispose: async () => {},
        }
      },
      factory: diceVerifier,
      options: {
        anchors: [issueChain({ layers: [{ layer: 1 }] }).rootPem],
        identities: { d1: 'key:00' },
        referenceValues: [{ environment: { layer: 1 }, fwids: [{ hashAlg: 'sha256', digest: '00'.repeat(32) }], minSvn: 1 }],
        released: [{ layer: 'application' }],
        layerNames: { 2: 'application' },
      },
    },
  )
})
