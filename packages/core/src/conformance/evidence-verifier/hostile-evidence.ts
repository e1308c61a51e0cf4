import { deepStrictEqual, notStrictEqual } from 'node:assert/strict'
import { coreErrors, fail } from '../../core-errors.ts'
import type { AppraiseContext, Evidence } from '../../plugin/evidence-verifier.ts'
import type { CallOptions } from '../../plugin/plugin.ts'
import { memoryJournal } from '../../testing/memory-journal.ts'
import { damaged, sampleBytes } from '../content.ts'
import type { EvidenceRule, EvidenceVerifierInstance } from '../evidence-verifier-suite.ts'
import { closeRules } from '../plugin-rules.ts'
import { otaError, refused, survives } from '../refusal.ts'
import { nextTurn, within } from '../within.ts'
import { affirms, appraisalOf, appraised, challengeOf, denies, rule } from './evidence-rule.ts'

const refusals = ['rejected', 'invalid', 'unsupported'] as const

/** Flipped bits, one evidence each; spread over the whole where there are more. */
const flips = 64

const garbage = (): readonly Uint8Array[] => [
  new Uint8Array(0),
  new Uint8Array(1),
  new Uint8Array(64).fill(0xff),
  sampleBytes(1_000, 3),
  new TextEncoder().encode('{}'),
  new TextEncoder().encode('null'),
  new TextEncoder().encode('['.repeat(100_000)),
  new TextEncoder().encode('{"__proto__":{"tier":"affirming"}}'),
  Uint8Array.of(0x9f, 0xff),
  Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff),
]

/** Bytes that are no good evidence. */
export const evidenceHostileRules: readonly EvidenceRule[] = [
  rule('truncated', 'does not affirm evidence that lacks its end or has more behind it', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const { mediaType, body } = await issue(challenge)
    const context = appraisalOf(challenge)
    const step = Math.max(1, Math.floor(body.length / flips))
    for (let length = body.length - 1; length >= 0; length -= step) {
      await denies(`the first ${length} of ${body.length} bytes`, plugin, { mediaType, body: body.subarray(0, length) }, context)
    }
    for (const wrong of damaged(body)) await denies(`evidence ${wrong.name}`, plugin, { mediaType, body: wrong.bytes }, context)
    await affirms('the whole', plugin, { mediaType, body }, context)
  }),
  rule('flipped', 'says nothing else of evidence in which a bit was flipped than of the good one', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const { mediaType, body } = await issue(challenge)
    const context = appraisalOf(challenge)
    const good = await affirms('the good evidence', plugin, { mediaType, body }, context)
    const step = Math.max(1, Math.floor((body.length * 8) / flips) | 1)
    for (let bit = 0; bit < body.length * 8; bit += step) {
      const spoiled = body.slice()
      spoiled[bit >> 3] = (spoiled[bit >> 3] as number) ^ (1 << (bit & 7))
      const result = await appraised(plugin, { mediaType, body: spoiled }, context)
      // An encoding may have a bit that means nothing; what is affirmed must be the same then.
      if (result?.tier === 'affirming') deepStrictEqual(result, good, `bit ${bit} flipped: expected that nothing else is affirmed`)
    }
  }),
  rule('garbage', 'survives whatever is shown to it', async ({ plugin, issue }, { stepMs }) => {
    const challenge = challengeOf()
    const { mediaType } = await issue(challenge)
    for (const body of garbage()) {
      const what = `${body.length} bytes of garbage`
      await within(stepMs, what, denies(what, plugin, { mediaType, body }, appraisalOf(challenge)))
    }
  }),
  rule('large', 'refuses evidence of 8 MiB in bounded time', async ({ plugin, issue }, { stepMs }) => {
    const challenge = challengeOf()
    const { mediaType, body } = await issue(challenge)
    const large = new Uint8Array(8 * 1024 * 1024)
    large.set(body)
    await within(
      stepMs,
      'appraise',
      denies('good evidence and 8 MiB behind it', plugin, { mediaType, body: large }, appraisalOf(challenge)),
    )
  }),
  rule('other-type', 'refuses evidence of a type that it does not read', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const { body } = await issue(challenge)
    const evidence: Evidence = { mediaType: 'application/x-nobody-reads-this', body }
    await denies('evidence of another type', plugin, evidence, appraisalOf(challenge))
  }),
  rule('state-down', 'is unavailable, and affirms nothing, where it needs its state and cannot read it', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    let asked = 0
    const down = async (): Promise<never> => {
      asked += 1
      throw fail('JOURNAL_UNAVAILABLE', coreErrors.JOURNAL_UNAVAILABLE.means)
    }
    const evidence = await issue(challenge)
    try {
      await plugin.appraise(evidence, appraisalOf(challenge, { state: { get: down, put: down } }))
    } catch (error) {
      otaError('appraise without state', error, { fault: 'unavailable' })
      return
    }
    if (asked > 0) throw new Error('expected that a verifier which needs its state is unavailable without it, found an answer')
  }),
  rule('abort', 'does nothing for a caller who has left, and everything for the next one', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const evidence = await issue(challenge)
    await refused('appraise with a signal that has fired', { fault: 'aborted' }, () =>
      plugin.appraise(evidence, appraisalOf(challenge, { signal: AbortSignal.abort() })),
    )
    await affirms('the next', plugin, evidence, appraisalOf(challenge))
  }),
  rule('slow', 'waits for a state that takes its time', async ({ plugin, issue }, { stepMs }) => {
    const challenge = challengeOf()
    const { get, put } = memoryJournal()
    const state: AppraiseContext['state'] = {
      get: async (...args) => {
        await nextTurn(5)
        return get(...args)
      },
      put: async (...args) => {
        await nextTurn(5)
        return put(...args)
      },
    }
    const evidence = await issue(challenge)
    await within(stepMs, 'appraise', affirms('good evidence', plugin, evidence, appraisalOf(challenge, { state })))
  }),
  rule('abort-during', 'leaves a state that hangs when its caller leaves', async ({ plugin, issue }, { stepMs }) => {
    const challenge = challengeOf()
    const evidence = await issue(challenge)
    const controller = new AbortController()
    const { signal } = controller
    // As a journal does that heeds the signal which it is given.
    const hang = (options?: CallOptions): Promise<never> =>
      new Promise((_, reject) => {
        options?.signal?.addEventListener('abort', () => reject(fail('ABORTED', 'the caller cancelled')), { once: true })
      })
    const state = {
      get: (_: string, options?: CallOptions) => hang(options),
      put: (_: string, __: unknown, options: CallOptions) => hang(options),
    }
    const call = survives('appraise', { fault: 'aborted' }, () => plugin.appraise(evidence, appraisalOf(challenge, { signal, state })))
    await nextTurn(2)
    controller.abort()
    await within(stepMs, 'appraise whose caller has left', call)
    await affirms('the next', plugin, evidence, appraisalOf(challenge))
  }),
  rule('abort-after', 'stands by what it said when its caller leaves later', async ({ plugin, issue }) => {
    const challenge = challengeOf()
    const evidence = await issue(challenge)
    const controller = new AbortController()
    const context = appraisalOf(challenge, { signal: controller.signal })
    const before = await affirms('good evidence', plugin, evidence, context)
    const copy = structuredClone(before)
    controller.abort()
    await nextTurn()
    deepStrictEqual(before, copy, 'expected the result as it was')
    await affirms('the next', plugin, evidence, appraisalOf(challenge))
  }),
  ...closeRules<EvidenceVerifierInstance, unknown>('evidence-verifier'),
  rule(
    'closed',
    'affirms nothing after it was closed that it would not have affirmed before, and does not hang',
    async ({ plugin, issue }, { stepMs }) => {
      const challenge = challengeOf()
      const evidence = await issue(challenge)
      await affirms('good evidence before close()', plugin, evidence, appraisalOf(challenge))
      await within(stepMs, 'close()', plugin.close?.())
      const context = appraisalOf(challenge)
      const late = survives('appraise after close()', { fault: ['unavailable', 'invalid', 'aborted'] }, () =>
        plugin.appraise(evidence, context),
      )
      await within(stepMs, 'appraise after close()', late)
      const other = appraisalOf({ ...challenge, nonce: sampleBytes(32, 78) })
      const wrong = survives('appraise after close()', { fault: [...refusals, 'unavailable', 'aborted'] }, () =>
        plugin.appraise(evidence, other),
      )
      notStrictEqual((await within(stepMs, 'appraise after close()', wrong))?.tier, 'affirming', 'another nonce after close()')
    },
    { what: 'close()', has: ({ plugin }) => plugin.close !== undefined },
  ),
]
