import { concat } from '../../content/byte-stream.ts'
import type { EvidenceRule, EvidenceVerifierInstance } from '../evidence-verifier-suite.ts'
import { affirms, appraisalOf, challengeOf, denies, rule } from './evidence-rule.ts'

const purposes = ['enrol', 'admit', 'confirm'] as const

const carrying = (what: 'deviceId' | 'purpose') => ({
  what: `evidence that carries the ${what}`,
  missing: `evidence of this kind does not carry the ${what}: the nonce alone binds it`,
  has: ({ carries }: EvidenceVerifierInstance) => carries.includes(what),
})

/** Good evidence, shown where it proves nothing. */
export const evidenceReplayRules: readonly EvidenceRule[] = [
  rule('other-nonce', 'does not affirm evidence for another nonce', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const evidence = await issue(challenge)
    const { nonce } = challenge
    const flipped = nonce.slice()
    flipped[31] = (flipped[31] as number) ^ 1
    const others = {
      'a nonce of which the last bit differs': flipped,
      'another nonce': new Uint8Array(32),
      'the beginning of the nonce': nonce.subarray(0, 31),
      'the nonce and a byte': concat([nonce, Uint8Array.of(0)]),
      'an empty nonce': new Uint8Array(0),
    }
    for (const [what, other] of Object.entries(others)) await denies(what, plugin, evidence, appraisalOf({ ...challenge, nonce: other }))
    await affirms('the right nonce', plugin, evidence, appraisalOf(challenge))
  }),
  rule(
    'other-device',
    'does not affirm evidence of one device for another',
    async ({ plugin, issue }) => {
      const challenge = challengeOf()
      const evidence = await issue(challenge)
      for (const deviceId of ['device-2', 'device-11', 'DEVICE-1', '']) {
        await denies(`evidence of device-1 for ${JSON.stringify(deviceId)}`, plugin, evidence, appraisalOf({ ...challenge, deviceId }))
      }
    },
    carrying('deviceId'),
  ),
  rule(
    'other-purpose',
    'does not affirm evidence for another purpose',
    async ({ plugin, issue }) => {
      for (const purpose of purposes) {
        const challenge = challengeOf({ purpose })
        const evidence = await issue(challenge)
        for (const other of purposes.filter((one) => one !== purpose)) {
          await denies(`evidence to ${purpose} for ${other}`, plugin, evidence, appraisalOf({ ...challenge, purpose: other }))
        }
      }
    },
    carrying('purpose'),
  ),
  rule(
    'other-key',
    'does not affirm evidence by a key that it does not trust, and shares none with another verifier',
    async ({ plugin }, { make }) => {
      const stranger = await make()
      const challenge = challengeOf()
      const evidence = await stranger.issue(challenge)
      await denies('evidence by a stranger', plugin, evidence, appraisalOf(challenge))
      await affirms('evidence by a stranger, as he sees it', stranger.plugin, evidence, appraisalOf(challenge))
    },
  ),
  rule(
    'other-identity',
    'does not affirm a device with another identity than the one that was enrolled',
    async ({ plugin, issue }, { make }) => {
      const challenge = challengeOf()
      const { identity } = await affirms('good evidence', plugin, await issue(challenge), appraisalOf(challenge))
      if (identity === undefined) return
      await affirms('the enrolled device', plugin, await issue(challenge), appraisalOf(challenge, { enrolled: identity }))
      const stranger = await make()
      const other = await affirms('a stranger', stranger.plugin, await stranger.issue(challenge), appraisalOf(challenge))
      if (other.identity === identity) throw new Error('expected another identity for another key')
      for (const enrolled of [other.identity ?? 'somebody', `${identity} `, '']) {
        await denies(
          `a device that is not ${JSON.stringify(enrolled)}`,
          plugin,
          await issue(challenge),
          appraisalOf(challenge, { enrolled }),
        )
      }
    },
  ),
  rule(
    'forgeries',
    "does not affirm what its author's own attacker makes",
    async ({ plugin, forgeries = [] }) => {
      const challenge = challengeOf()
      for (const { name, forge } of forgeries) await denies(name, plugin, await forge(challenge), appraisalOf(challenge))
    },
    {
      what: 'forgeries',
      missing: 'make() gives no forgeries in the format of the plugin',
      has: ({ forgeries }: EvidenceVerifierInstance) => forgeries !== undefined && forgeries.length > 0,
    },
  ),
]
