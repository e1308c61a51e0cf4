import { deepStrictEqual, ok } from 'node:assert/strict'
import type { AttestationResult, Purpose } from '../../plugin/evidence-verifier.ts'
import type { EvidenceRule } from '../evidence-verifier-suite.ts'
import { affirms, appraisalOf, challengeOf, denies, laterNow, measurementsOf, rule } from './evidence-rule.ts'

const hexDigits: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 }

/** What a verifier says of good evidence. */
export const evidenceAppraisalRules: readonly EvidenceRule[] = [
  rule('media-types', 'names the types of evidence that it reads', async ({ plugin, issue }) => {
    const { mediaTypes } = plugin
    ok(Array.isArray(mediaTypes) && mediaTypes.length > 0, 'mediaTypes: expected at least one')
    for (const type of mediaTypes)
      ok(/^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+(;.*)?$/i.test(type), `mediaTypes: expected a media type, found ${type}`)
    const { mediaType } = await issue(challengeOf())
    ok(mediaTypes.includes(mediaType), `mediaTypes: expected ${mediaType}, of which issue() makes evidence, among ${mediaTypes.join(', ')}`)
  }),
  rule('good', 'affirms good evidence for each purpose, and echoes what was asked', async ({ plugin, issue }) => {
    for (const purpose of ['enrol', 'admit', 'confirm'] as Purpose[]) {
      const challenge = challengeOf({ purpose })
      const { recovery } = await affirms(`good evidence to ${purpose}`, plugin, await issue(challenge), appraisalOf(challenge))
      ok(recovery !== true, `good evidence to ${purpose}: expected a device that does not run in recovery`)
    }
  }),
  rule('measurements', 'tells what the device measured, in digests that can be compared', async ({ plugin, issue }) => {
    for (const seed of [1, 2]) {
      const challenge = challengeOf({ measurements: measurementsOf(seed) })
      const { measurements } = await affirms('good evidence', plugin, await issue(challenge), appraisalOf(challenge))
      const digests = measurements.flatMap((measurement) => measurement.digests)
      for (const { hashAlg, digest } of digests) {
        ok(
          new RegExp(`^[0-9a-f]{${hexDigits[hashAlg] ?? 1}}$`).test(digest),
          `${hashAlg}: expected lower case hex of its length, found ${digest}`,
        )
      }
      const wanted = measurementsOf(seed)[0]?.digests[0]?.digest
      ok(
        digests.some(({ digest }) => digest === wanted),
        `expected the digest ${wanted} that the device measured`,
      )
    }
  }),
  rule('references-not-echoed', 'tells what the device measured, whatever is expected of it', async ({ plugin, issue }) => {
    const challenge = challengeOf({ measurements: measurementsOf(1) })
    const references = measurementsOf(2)
    const result = await plugin.appraise(await issue(challenge), appraisalOf(challenge, { references }))
    const told = result.measurements.flatMap(({ digests }) => digests.map(({ digest }) => digest))
    ok(!told.includes(references[0]?.digests[0]?.digest ?? ''), 'expected that a reference value is not taken for a measurement')
  }),
  rule('time-of-run', 'takes the time from the run and not from a clock', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const evidence = await issue(challenge)
    const first = await affirms('evidence', plugin, evidence, appraisalOf(challenge))
    const later = await affirms('the same an hour later', plugin, evidence, appraisalOf(challenge, { now: laterNow }))
    const lasts = ({ expires, appraisedAt }: typeof first): number => expires.getTime() - appraisedAt.getTime()
    ok(lasts(first) > 0 && lasts(later) > 0, 'expected an appraisal that lasts')
  }),
  rule('inputs-untouched', 'leaves evidence and context as they were', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const { mediaType, body } = await issue(challenge)
    const before = body.slice()
    const context = Object.freeze({ ...appraisalOf(challenge), references: Object.freeze([...measurementsOf(1)]) })
    const result = await affirms('good evidence', plugin, Object.freeze({ mediaType, body }), context)
    deepStrictEqual([...body], [...before], 'expected the evidence as it was')
    deepStrictEqual([...context.nonce], [...challenge.nonce], 'expected the nonce as it was')
    ok(result.nonce.length > 0)
  }),
  rule('again', 'affirms the same of the same, however often it is asked, also at the same time', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const evidence = await issue(challenge)
    const context = appraisalOf(challenge)
    // How it knows may change: a device is seen for the first time only once.
    const told = ({ identity, measurements }: AttestationResult) => ({ identity, measurements })
    const first = told(await affirms('the first time', plugin, evidence, context))
    const again = await Promise.all([1, 2, 3].map(() => affirms('again', plugin, evidence, context)))
    for (const result of again) deepStrictEqual(told(result), first)
  }),
  rule('several', 'keeps appraisals apart that run at the same time', async ({ plugin, issue }) => {
    const challenges = [1, 2, 3, 4].map((seed) =>
      challengeOf({ deviceId: `device-${seed}`, nonce: new Uint8Array(32).fill(seed), measurements: measurementsOf(seed) }),
    )
    await Promise.all(
      challenges.map(async (challenge, index) => {
        const evidence = await issue(challenge)
        await affirms(challenge.deviceId, plugin, evidence, appraisalOf(challenge))
        const other = challenges[(index + 1) % challenges.length] as typeof challenge
        await denies(`evidence of ${challenge.deviceId} for ${other.deviceId}`, plugin, evidence, appraisalOf(other))
      }),
    )
  }),
]
