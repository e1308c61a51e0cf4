import { randomUUID } from 'node:crypto'
import {
  type ByteStream,
  type Check,
  collect,
  coreError,
  manifestLimitBytes,
  parseIndex,
  type SignatureVerifier,
  type Subject,
  type VerificationResult,
  type VerifyContext,
} from '@reflash/core'
import { signatureVerifierRules } from '@reflash/core/conformance'
import {
  attachedKey,
  attachedSignatures,
  attachedVerifier,
  revocationOf,
  rightHabits,
  type SignatureHabits,
  saidOf,
} from '../support/attached-signatures.ts'
import { closing } from '../support/closing.ts'
import { rightSignatures } from '../support/right-plugins.ts'
import { briefMs, type Mutant, type MutantTable, mutantsOf } from './mutant.ts'

const { plugin, options, common } = mutantsOf(signatureVerifierRules, rightSignatures)

/** The verifier whose results are changed. */
const saying =
  (change: (result: VerificationResult, subject: Subject, context: VerifyContext) => VerificationResult | Promise<VerificationResult>) =>
  ({ verify }: SignatureVerifier): Partial<SignatureVerifier> => ({
    verify: async (subject, context) => change(await verify(subject, context), subject, context),
  })

const passed: Check = { name: 'SIGNATURE', status: 'passed' }
const failed: Check = { name: 'SIGNATURE', status: 'failed', reason: 'no signature' }
const isGood = ({ checks }: VerificationResult): boolean => checks.every(({ status }) => status === 'passed')

const results: readonly Mutant[] = [
  plugin('policy', 'has the same policy whatever it trusts', () => ({ policy: 'attached' })),
  options('policy-of-options', 'has another policy after each start', (right) => ({
    ...right,
    factory: (given: { readonly publicKey: string }) => Object.freeze({ ...attachedSignatures(given), policy: randomUUID() }),
  })),
  plugin(
    'signed',
    'says what it covers, and not what it has checked',
    saying((result) => (isGood(result) ? { ...result, checks: [] } : result)),
  ),
  plugin('signed-index', 'looks at the manifest alone', ({ verify }) => ({
    verify: (subject, context) => verify({ ...subject, root: subject.manifest }, context),
  })),
  plugin(
    'signed-child',
    'says that the root is covered, whatever is',
    saying((result) => ({ ...result, covers: 'root' })),
  ),
  plugin('again', 'remembers the last answer', ({ verify }) => {
    const known = new Map<string, VerificationResult>()
    return {
      verify: async (subject, context) => {
        const key = `${subject.root.digest} ${subject.manifest.digest}`
        const result = known.has(key) ? { covers: 'manifest' as const, checks: [failed] } : await verify(subject, context)
        known.set(key, result)
        return result
      },
    }
  }),
  plugin('signed-later', 'remembers that an artifact was not signed', ({ verify }) => {
    const refused = new Map<string, VerificationResult>()
    return {
      verify: async (subject, context) => {
        const key = `${subject.root.digest} ${subject.manifest.digest}`
        const result = refused.get(key) ?? (await verify(subject, context))
        if (!isGood(result)) refused.set(key, result)
        return result
      },
    }
  }),
  plugin(
    'signed-twice',
    'takes two signatures for none',
    saying(async (result, { repository, root }, { from }) => {
      let count = 0
      for await (const _ of from.referrers?.(repository, root) ?? []) count += 1
      return count > 1 ? { ...result, checks: [failed] } : result
    }),
  ),
  plugin('any-order', 'reads two signatures at most', ({ verify }) => ({
    verify: (subject, context) => verify(subject, { ...context, from: { ...context.from, referrers: firstTwoOf(context.from) } }),
  })),
  plugin('no-referrers', 'passes what it cannot look for', ({ verify }) => ({
    verify: async (subject, context) =>
      context.from.referrers === undefined ? { covers: 'manifest', checks: [passed] } : verify(subject, context),
  })),
]

/** Lists two referrers. */
const firstTwoOf = ({ referrers }: VerifyContext['from']): NonNullable<typeof referrers> =>
  async function* (repository, subject, options) {
    let count = 0
    for await (const one of referrers?.(repository, subject, options) ?? []) {
      if (++count > 2) return
      yield one
    }
  }

/** A verifier with one habit that is wrong. */
const habit = (rule: string, wrong: string, habits: Partial<SignatureHabits>, timeoutMs?: number): Mutant =>
  options(rule, wrong, (right) => ({
    ...right,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    make: async () => {
      const { publicKey, sign, revoke } = attachedKey()
      const forgeries = [{ name: 'a statement of the same key that says something else', forge: revoke }]
      return { plugin: closing(attachedVerifier(publicKey, { ...rightHabits, ...habits })), sign, forgeries, dispose: async () => {} }
    },
  }))

/** Whether anything is signed of what the index lists, or the index. */
async function isAnythingSigned({ repository, root }: Subject, { from, signal }: VerifyContext): Promise<boolean> {
  const index = parseIndex(await collect(await from.fetch(repository, root, { signal }), manifestLimitBytes), root.mediaType)
  for (const subject of [root, ...index.manifests]) for await (const _ of from.referrers?.(repository, subject) ?? []) return true
  return false
}

const forgeries: readonly Mutant[] = [
  plugin('unsigned', 'passes the child of an index of which nothing is signed', ({ verify }) => ({
    verify: async (subject, context) => {
      if (context.signal.aborted || subject.root.digest === subject.manifest.digest || (await isAnythingSigned(subject, context)))
        return verify(subject, context)
      return { covers: 'manifest', checks: [passed] }
    },
  })),
  habit('other-key', 'believes whoever has signed', { isSigned: () => true }),
  habit('other-artifact', 'believes a signature about what it is of', {
    texts: ({ digest }, claimed, isRoot) => [saidOf(isRoot ? digest : (claimed ?? digest))],
  }),
  habit('other-child', 'believes the signature of an index about what it is of', {
    texts: ({ digest }, claimed, isRoot) => [saidOf(isRoot ? (claimed ?? digest) : digest)],
  }),
  habit('damaged', 'takes a signature for good that is not what its digest says', {
    unread: (error) => (error.code === 'DIGEST_MISMATCH' ? 'good' : rightHabits.unread(error)),
  }),
  habit('lying-descriptors', 'takes a signature for good that is too large to be read', {
    content: async (repository, descriptor, limitBytes, context) => {
      if (descriptor.size > limitBytes) throw coreError('MANIFEST_TOO_LARGE', 'expected less, found more')
      return rightHabits.content(repository, descriptor, limitBytes, context)
    },
    unread: (error) => (error.code === 'MANIFEST_TOO_LARGE' ? 'good' : rightHabits.unread(error)),
  }),
  habit('forgeries', 'does not read what was signed, only for whom', {
    texts: ({ digest }) => [saidOf(digest), revocationOf(digest)],
  }),
]

const failures: readonly Mutant[] = [
  plugin(
    'registry-down',
    'fails what it cannot read',
    saying((result) => ({
      ...result,
      checks: result.checks.map((check) => (check.status === 'inconclusive' ? { ...check, status: 'failed' } : check)),
    })),
  ),
  habit('registry-breaks', 'takes a signature for bad that it cannot read now', { unread: () => 'bad' }),
  habit(
    'endless',
    'reads content to its end before it looks at its size',
    {
      content: async (repository, descriptor, limitBytes, context) => {
        const start = performance.now()
        // Nobody is left to end it: the rule gave up before.
        for await (const _ of await context.from.fetch(repository, descriptor)) if (performance.now() - start > 2 * briefMs) break
        return rightHabits.content(repository, descriptor, limitBytes, context)
      },
    },
    briefMs,
  ),
  habit('slow', 'takes an empty chunk for the end', {
    content: (repository, descriptor, limitBytes, context) => {
      const { from } = context
      const fetch: typeof from.fetch = async (...args) => upToEmpty(await from.fetch(...args))
      return rightHabits.content(repository, descriptor, limitBytes, { ...context, from: { ...from, fetch } })
    },
  }),
  plugin('abort-after', 'forgets a signature when the caller who asked for it leaves', ({ verify }) => {
    const forgotten = new Set<string>()
    return {
      verify: async (subject, context) => {
        if (forgotten.has(subject.root.digest)) return { covers: 'manifest', checks: [failed] }
        const result = await verify(subject, context)
        context.signal.addEventListener('abort', () => void forgotten.add(subject.root.digest), { once: true })
        return result
      },
    }
  }),
  plugin('closed', 'passes everything after it was closed', ({ verify, close }) => {
    let isClosed = false
    return {
      verify: async (subject, context) => (isClosed ? { covers: 'root', checks: [passed] } : verify(subject, context)),
      close: async () => {
        isClosed = true
        await close?.()
      },
    }
  }),
  plugin('abort-before', 'verifies for a caller who has left', ({ verify }) => ({
    verify: (subject, context) => verify(subject, context.signal.aborted ? { ...context, signal: new AbortController().signal } : context),
  })),
  plugin(
    'abort-during',
    'waits for a registry that hangs, whoever leaves',
    ({ verify }) => ({
      verify: (subject, context) =>
        verify(subject, context.signal.aborted ? context : { ...context, signal: new AbortController().signal }),
    }),
    briefMs,
  ),
]

async function* upToEmpty(stream: ByteStream): ByteStream {
  for await (const chunk of stream) {
    if (chunk.length === 0) return
    yield chunk
  }
}

export const signatureMutants: MutantTable = {
  suite: signatureVerifierRules.kind,
  rules: signatureVerifierRules.rules.map(({ id }) => id),
  mutants: [...common('verify'), ...results, ...forgeries, ...failures],
  unbroken: {},
}
