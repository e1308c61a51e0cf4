import { damaged, targetSuite } from '@reflash/core/conformance'
import { swupdateTarget } from '@reflash/target-swupdate'
import { buildSwu, testSigner } from '@reflash/target-swupdate/testing'
import { describe, it } from 'vitest'

const { certificate, sign } = testSigner()
const options = { models: ['board'], signers: [certificate], platform: 'linux/arm64' }
const imageOf = (version: string, hardware = ['1.0']) =>
  buildSwu({ version, image: new Uint8Array(3000).fill(version.length), hardware, sign })
const good = imageOf('1.1.0')
// Padding behind the trailer may have any length: block sizes differ.
const padded = ['without its last byte', 'with a byte behind it']

targetSuite(
  { describe, it },
  {
    make: async () => ({
      plugin: swupdateTarget(options),
      device: { id: 'gate-1', model: 'board', attributes: { hardware: 'board:1.0' } },
      foreign: { id: 'other', model: 'stm32f4' },
      images: {
        old: imageOf('1.0.0'),
        good,
        bad: damaged(good)
          .filter(({ name }) => !padded.includes(name))
          .map(({ name, bytes }) => ({
            name: `an update ${name}`,
            bytes: name === 'with its last bit flipped' ? bytes.fill(1, -4) : bytes,
          })),
      },
      refuses: [
        { name: 'an update for another revision', image: imageOf('1.1.0', ['2.0', 'board:3.0']) },
        { name: 'another model and another revision', device: { id: 'x', model: 'stm32f4', attributes: { hardware: 'x:9' } }, reasons: 2 },
      ],
      dispose: async () => {},
    }),
    factory: swupdateTarget,
    options,
    timeoutMs: 30_000,
  },
)
