import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { fail } from '../../core-errors.ts'
import { memoryJournal } from '../../testing/memory-journal.ts'
import { contextOf, gather } from '../content.ts'
import { closeRules } from '../plugin-rules.ts'
import { refused } from '../refusal.ts'
import type { SignatureRule, SignatureVerifierInstance } from '../signature-verifier-suite.ts'
import { endlessSource, slowSource, stalledSource } from '../sources.ts'
import { until, within } from '../within.ts'
import { type From, fromOf, judged, rule, shelf, subjectOf } from './signature-rule.ts'

/** Counts the calls of a registry, and lets those fail that `breaks` names by their number, from 1 on. */
function failing(from: From, breaks: (call: number) => boolean) {
  let calls = 0
  const enter = (): void => {
    calls += 1
    if (breaks(calls)) throw fail('REGISTRY_UNAVAILABLE', 'the registry of the suite does not answer')
  }
  const broken: From = {
    async resolve(reference, options) {
      enter()
      return from.resolve(reference, options)
    },
    async fetch(repository, descriptor, options) {
      enter()
      return from.fetch(repository, descriptor, options)
    },
    async *referrers(repository, subject, options) {
      enter()
      yield* from.referrers?.(repository, subject, options) ?? []
    },
  }
  return { from: broken, calls: () => calls }
}

/** Registries that do not answer, and callers who leave. */
export const signatureFailureRules: readonly SignatureRule[] = [
  rule('registry-down', 'neither passes nor fails what it cannot read: that is inconclusive', async ({ plugin, sign }) => {
    const { registry, repository, first, second } = shelf()
    await sign(registry, repository, first)
    for (const subject of [first, second]) {
      const { from } = failing(fromOf(registry), () => true)
      strictEqual(
        (await judged(plugin, subjectOf(subject), from)).is,
        'inconclusive',
        'expected that a registry which is down proves nothing',
      )
    }
  }),
  rule('registry-breaks', 'does not fail a signed artifact because one answer of the registry is missing', async ({ plugin, sign }) => {
    const { registry, repository, first } = shelf()
    await sign(registry, repository, first)
    const whole = failing(fromOf(registry), () => false)
    strictEqual((await judged(plugin, subjectOf(first), whole.from)).is, 'passed')
    ok(whole.calls() > 0, 'expected the signature to be read through the context')
    for (let call = 1; call <= whole.calls(); call++) {
      const { from } = failing(fromOf(registry), (number) => number === call)
      notStrictEqual((await judged(plugin, subjectOf(first), from)).is, 'failed', `call ${call} of ${whole.calls()} failed`)
    }
    strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'passed', 'once the registry is back')
  }),
  rule('endless', 'ends with content that does not end', async ({ plugin, sign }, { stepMs }) => {
    const { registry, repository, first } = shelf()
    await sign(registry, repository, first)
    const from: From = { ...fromOf(registry), fetch: async () => endlessSource().open() }
    const { is } = await within(stepMs, 'verify', judged(plugin, subjectOf(first), from))
    notStrictEqual(is, 'passed')
  }),
  rule('slow', 'waits for content that comes a little at a time, and at times nothing', async ({ plugin, sign }, { stepMs }) => {
    const { registry, repository, first } = shelf()
    await sign(registry, repository, first)
    const honest = fromOf(registry)
    const from: From = {
      ...honest,
      fetch: async (name, descriptor, options) =>
        slowSource(await gather('content', await honest.fetch(name, descriptor, options)), 50).open(),
    }
    strictEqual((await within(stepMs, 'verify', judged(plugin, subjectOf(first), from))).is, 'passed')
  }),
  rule('abort-before', 'asks nothing for a caller who has left', async ({ plugin, sign }) => {
    const { registry, repository, first } = shelf()
    await sign(registry, repository, first)
    const { from, calls } = failing(fromOf(registry), () => false)
    const context = { ...contextOf(AbortSignal.abort()), from, state: memoryJournal() }
    await refused('verify with a signal that has fired', { fault: 'aborted' }, () => plugin.verify(subjectOf(first), context))
    strictEqual(calls(), 0, 'expected no call of the registry')
  }),
  rule('abort-during', 'leaves a registry that hangs when its caller leaves', async ({ plugin, sign }, { stepMs }) => {
    const { registry, repository, first } = shelf()
    await sign(registry, repository, first)
    const stalled = stalledSource(new Uint8Array(1))
    const from: From = { ...fromOf(registry), fetch: async () => stalled.open() }
    const controller = new AbortController()
    const call = plugin.verify(subjectOf(first), { ...contextOf(controller.signal), from, state: memoryJournal() })
    call.catch(() => undefined)
    await until(stepMs, 'content was asked for', () => stalled.opened > 0)
    controller.abort()
    await within(
      stepMs,
      'verify whose caller has left',
      refused('verify', { fault: 'aborted' }, () => call),
    )
    strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'passed', 'the next caller')
  }),
  rule('abort-after', 'stands by what it said when its caller leaves later', async ({ plugin, sign }) => {
    const { registry, repository, first } = shelf()
    await sign(registry, repository, first)
    const controller = new AbortController()
    const before = await judged(plugin, subjectOf(first), fromOf(registry), controller.signal)
    strictEqual(before.is, 'passed', 'before the caller leaves')
    controller.abort()
    deepStrictEqual(await judged(plugin, subjectOf(first), fromOf(registry)), before, 'the next caller')
  }),
  ...closeRules<SignatureVerifierInstance, unknown>('signature-verifier'),
  rule(
    'closed',
    'passes nothing after it was closed that it would not have passed before, and does not hang',
    async ({ plugin, sign }, { stepMs }) => {
      const { registry, repository, first, second } = shelf()
      await sign(registry, repository, first)
      strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'passed', 'before close()')
      await within(stepMs, 'close()', plugin.close?.())
      await within(stepMs, 'verify after close()', judged(plugin, subjectOf(first), fromOf(registry)))
      const { is } = await within(stepMs, 'verify after close()', judged(plugin, subjectOf(second), fromOf(registry)))
      notStrictEqual(is, 'passed', 'the unsigned one after close()')
    },
    { what: 'close()', has: ({ plugin }) => plugin.close !== undefined },
  ),
]
