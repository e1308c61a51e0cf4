import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { SignatureVerifier } from '../../plugin/signature-verifier.ts'
import type { SignatureRule, SignatureVerifierInstance } from '../signature-verifier-suite.ts'
import { fromOf, judged, rule, shelf, subjectOf } from './signature-rule.ts'

/** What a verifier says of artifacts that nobody has tampered with. */
export const signatureResultRules: readonly SignatureRule[] = [
  rule('policy', 'has a policy that stays the same, and differs between verifiers that trust other keys', async ({ plugin }, { make }) => {
    const { policy } = plugin
    ok(typeof policy === 'string' && policy.length > 0, `policy: expected a text, found ${JSON.stringify(policy)}`)
    strictEqual(plugin.policy, policy, 'expected the same policy at each look')
    const { plugin: other } = await make()
    notStrictEqual(other.policy, policy, 'expected another policy where another key is trusted: what was verified is remembered by it')
  }),
  rule(
    'policy-of-options',
    'has the same policy wherever it is made with the same options',
    async (_instance, { options: { factory, options } }) => {
      const make = factory as (options: unknown) => SignatureVerifier
      strictEqual(make(options).policy, make(options).policy, 'expected what was verified before a restart to count after it')
    },
    {
      what: 'factory and options',
      missing: 'no factory and options were given to the suite',
      has: (_instance: SignatureVerifierInstance, { factory, options }) => factory !== undefined && options !== undefined,
    },
  ),
  rule('signed', 'vouches for an artifact that its key has signed', async ({ plugin, sign }) => {
    const { registry, repository, first } = shelf()
    await sign(registry, repository, first)
    const { is, result } = await judged(plugin, subjectOf(first), fromOf(registry))
    strictEqual(is, 'passed', `expected that the signature passes, found ${JSON.stringify(result?.checks)}`)
    ok(
      result?.checks.some(({ status }) => status === 'passed'),
      'checks: expected at least one that passed and was not only skipped',
    )
    strictEqual(result?.covers, 'root', 'covers: expected root, which the manifest is')
  }),
  rule('signed-index', 'vouches for the child of a signed index, and says that the root is covered', async ({ plugin, sign }) => {
    const { registry, repository, first, second, index } = shelf()
    await sign(registry, repository, index)
    for (const child of [first, second]) {
      const { is, result } = await judged(plugin, subjectOf(index, child), fromOf(registry))
      strictEqual(is, 'passed', `expected that the signature of the index passes, found ${JSON.stringify(result?.checks)}`)
      strictEqual(result?.covers, 'root', 'covers: expected root')
    }
  }),
  rule('signed-child', 'never says that a root is covered of which only a child is signed', async ({ plugin, sign }) => {
    const { registry, repository, first, second, index } = shelf()
    await sign(registry, repository, first)
    const { is, result } = await judged(plugin, subjectOf(index, first), fromOf(registry))
    if (is === 'passed')
      strictEqual(result?.covers, 'manifest', 'covers: expected manifest, found root: whoever lists it anywhere would be believed')
    strictEqual(
      (await judged(plugin, subjectOf(index, second), fromOf(registry))).is,
      'failed',
      'expected that the unsigned child is refused',
    )
  }),
  rule('again', 'says the same of the same, however often it is asked', async ({ plugin, sign }) => {
    const { registry, repository, first, second } = shelf()
    await sign(registry, repository, first)
    const before = await judged(plugin, subjectOf(first), fromOf(registry))
    strictEqual((await judged(plugin, subjectOf(second), fromOf(registry))).is, 'failed', 'the unsigned one')
    deepStrictEqual(await judged(plugin, subjectOf(first), fromOf(registry)), before)
    const both = await Promise.all([first, second, first, second].map((one) => judged(plugin, subjectOf(one), fromOf(registry))))
    deepStrictEqual(
      both.map(({ is }) => is),
      ['passed', 'failed', 'passed', 'failed'],
      'asked at the same time',
    )
  }),
  rule('signed-later', 'sees a signature that was made after it was asked first', async ({ plugin, sign }) => {
    const { registry, repository, first } = shelf()
    strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'failed', 'unsigned')
    await sign(registry, repository, first)
    strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'passed', 'signed')
  }),
  rule('signed-twice', 'vouches for an artifact that was signed twice', async ({ plugin, sign }) => {
    const { registry, repository, first } = shelf()
    await sign(registry, repository, first)
    await sign(registry, repository, first)
    strictEqual((await judged(plugin, subjectOf(first), fromOf(registry))).is, 'passed')
  }),
  rule('no-referrers', 'gives an answer also where the registry cannot list referrers', async ({ plugin, sign }) => {
    const { registry, repository, first, second } = shelf()
    await sign(registry, repository, first)
    const { resolve, fetch } = fromOf(registry)
    const from = { resolve, fetch }
    await judged(plugin, subjectOf(first), from)
    notStrictEqual((await judged(plugin, subjectOf(second), from)).is, 'passed', 'expected that the unsigned one does not pass')
  }),
]
