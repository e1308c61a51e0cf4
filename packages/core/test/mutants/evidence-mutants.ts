import { type AppraiseContext, type AttestationResult, coreError, type Evidence, type EvidenceVerifier } from '@reflash/core'
import { evidenceVerifierRules } from '@reflash/core/conformance'
import { closing } from '../support/closing.ts'
import { rightEvidence } from '../support/right-plugins.ts'
import { type EvidenceHabits, evidenceKey, evidenceVerifier, rightHabits } from '../support/signed-evidence.ts'
import { briefMs, type Mutant, type MutantTable, mutantsOf, turn } from './mutant.ts'

const { plugin, options, common } = mutantsOf(evidenceVerifierRules, rightEvidence)

/** The verifier whose results are changed. */
const saying =
  (change: (result: AttestationResult, context: AppraiseContext, evidence: Evidence) => AttestationResult) =>
  ({ appraise }: EvidenceVerifier): Partial<EvidenceVerifier> => ({
    appraise: async (evidence, context) => change(await appraise(evidence, context), context, evidence),
  })

/** A verifier with one habit that is wrong. */
const habit = (rule: string, wrong: string, habitsOf: () => Partial<EvidenceHabits>): Mutant =>
  options(rule, wrong, (right) => ({
    ...right,
    make: async () => {
      const { trustAnchor, issue } = evidenceKey()
      return {
        plugin: closing(evidenceVerifier(trustAnchor, { ...rightHabits, ...habitsOf() })),
        issue: async (challenge) => issue(challenge),
        carries: ['deviceId', 'purpose'],
        forgeries: [{ name: 'evidence of a revoked device', forge: async (challenge) => issue({ ...challenge, isRevoked: true }) }],
        dispose: async () => {},
      }
    },
  }))

const without = (skipped: string) => (): Partial<EvidenceHabits> => ({ checks: rightHabits.checks.filter((name) => name !== skipped) })

const appraisals: readonly Mutant[] = [
  plugin('media-types', 'names no type that it reads', () => ({ mediaTypes: Object.freeze([]) })),
  plugin(
    'good',
    'takes every device for one in recovery',
    saying((result) => ({ ...result, recovery: true })),
  ),
  plugin(
    'good',
    'says when it was asked by a clock of its own',
    saying((result) => ({ ...result, appraisedAt: new Date(0) })),
  ),
  plugin(
    'measurements',
    'tells digests in capitals',
    saying((result) => ({
      ...result,
      measurements: result.measurements.map(({ digests, ...rest }) => ({
        ...rest,
        digests: digests.map(({ hashAlg, digest }) => ({ hashAlg, digest: digest.toUpperCase() })),
      })),
    })),
  ),
  plugin(
    'references-not-echoed',
    'tells what is expected of a device for what it measured',
    saying((result, { references }) => (references.length > 0 ? { ...result, measurements: references } : result)),
  ),
  plugin('time-of-run', 'refuses evidence that it has seen a while ago', ({ appraise }) => {
    const seen = new Map<string, number>()
    return {
      appraise: async (evidence, context) => {
        const key = Buffer.from(evidence.body).toString('base64')
        const first = seen.get(key) ?? context.now.getTime()
        seen.set(key, first)
        const result = await appraise(evidence, context)
        return context.now.getTime() - first < 60_000
          ? result
          : { ...result, tier: 'contraindicated', checks: [{ name: 'AGE', status: 'failed', reason: 'too old' }] }
      },
    }
  }),
  plugin('inputs-untouched', 'clears evidence when it has read it', ({ appraise }) => ({
    appraise: async (evidence, context) => {
      const result = await appraise({ ...evidence, body: evidence.body.slice() }, context)
      if (context.references.length > 0 && Object.isFrozen(evidence)) evidence.body.fill(0)
      return result
    },
  })),
  plugin('again', 'refuses evidence that is being looked at', ({ appraise }) => {
    const running = new Set<string>()
    return {
      appraise: async (evidence, context) => {
        const key = Buffer.from(evidence.body).toString('base64')
        if (running.has(key)) throw coreError('EVIDENCE_REFUSED', 'expected evidence that nobody looks at, found a copy of it')
        running.add(key)
        try {
          return await appraise(evidence, context)
        } finally {
          running.delete(key)
        }
      },
    }
  }),
  plugin('several', 'takes the nonce of the last caller for that of all', ({ appraise }) => {
    let last: AppraiseContext | undefined
    return {
      appraise: async (evidence, context) => {
        last = context
        await Promise.resolve()
        const { nonce, deviceId, purpose } = context
        const result = await appraise(evidence, { ...context, nonce: last.nonce, deviceId: last.deviceId })
        return { ...result, nonce, deviceId, purpose }
      },
    }
  }),
]

const replays: readonly Mutant[] = [
  plugin('other-nonce', 'compares as much of the nonce as it is given', ({ appraise }) => ({
    appraise: async (evidence, context) => {
      const { nonce } = context
      const said = nonceOf(evidence.body.subarray(64))
      if (nonce.length !== 31 || !said.startsWith(Buffer.from(nonce).toString('hex'))) return appraise(evidence, context)
      return { ...(await appraise(evidence, { ...context, nonce: Buffer.from(said, 'hex') })), nonce }
    },
  })),
  habit('other-device', 'does not look which device it is', without('DEVICE')),
  habit('other-purpose', 'does not look what the evidence is for', without('PURPOSE')),
  habit('other-key', 'believes whoever has signed', () => ({ isSigned: () => true })),
  habit('other-identity', 'does not look who was enrolled', without('IDENTITY')),
  habit('forgeries', 'does not look who was revoked', without('KEY')),
]

const hostile: readonly Mutant[] = [
  habit('truncated', 'ignores what lies behind the evidence', () => ({
    split: (body) => {
      const end = body.lastIndexOf(0x7d) + 1
      return rightHabits.split(body.subarray(0, Math.max(end, rightHabits.leastBytes)))
    },
  })),
  habit('flipped', 'believes whatever comes with a nonce that was signed', believingNonces),
  plugin('garbage', 'lets errors of its parser out', ({ appraise }) => ({
    appraise: async (evidence, context) => {
      // Good evidence begins with a signature, and one byte of that may be anything.
      if (evidence.body[0] === 0x5b && evidence.body.subarray(0, 8).every((byte) => byte === 0x5b))
        throw new RangeError('Maximum call stack size exceeded')
      return appraise(evidence, context)
    },
  })),
  plugin('large', 'reads the evidence at the beginning of whatever it gets', ({ appraise }) => ({
    appraise: async (evidence, context) => {
      const { body } = evidence
      const end = body.length > 1_000_000 ? body.lastIndexOf(0x7d) + 1 : body.length
      return appraise({ ...evidence, body: body.subarray(0, end) }, context)
    },
  })),
  habit('other-type', 'reads evidence of every type', () => ({ isOfType: () => true })),
  plugin('state-down', 'goes on without its state where it cannot read it', ({ appraise }) => ({
    appraise: async (evidence, context) => {
      await context.state.get('known', { signal: context.signal }).catch(() => undefined)
      return appraise(evidence, context)
    },
  })),
  plugin('slow', 'waits two turns for its state', ({ appraise }) => ({
    appraise: async (evidence, context) => {
      const late = turn()
        .then(turn)
        .then(() => {
          throw coreError('JOURNAL_UNAVAILABLE', 'expected an answer of the state, found none')
        })
      late.catch(() => undefined)
      await Promise.race([context.state.get('known', { signal: context.signal }), late])
      return appraise(evidence, context)
    },
  })),
  plugin(
    'abort-during',
    'waits for its state, whoever leaves',
    ({ appraise }) => ({
      appraise: async (evidence, context) => {
        if (!context.signal.aborted) await context.state.get('known')
        return appraise(evidence, context)
      },
    }),
    briefMs,
  ),
  plugin('abort-after', 'takes a result back when its caller leaves', ({ appraise }) => ({
    appraise: async (evidence, context) => {
      const result = { ...(await appraise(evidence, context)) }
      const takeBack = (): void => void Object.assign(result, { tier: 'none' })
      context.signal.addEventListener('abort', takeBack, { once: true })
      return result
    },
  })),
  plugin('closed', 'says after it was closed what it said last', ({ appraise, close }) => {
    let last: AttestationResult | undefined
    let isClosed = false
    return {
      appraise: async (evidence, context) => {
        const { nonce, purpose, deviceId } = context
        if (isClosed && last !== undefined) return { ...last, nonce, purpose, deviceId }
        last = await appraise(evidence, context)
        return last
      },
      close: async () => {
        isClosed = true
        await close?.()
      },
    }
  }),
  plugin('abort', 'appraises for a caller who has left', ({ appraise }) => ({
    appraise: (evidence, context) => appraise(evidence, { ...context, signal: new AbortController().signal }),
  })),
]

function believingNonces(): Partial<EvidenceHabits> {
  const nonces = new Set<string>()
  return {
    isSigned: (payload, key, signature) => {
      const nonce = nonceOf(payload)
      const isSigned = rightHabits.isSigned(payload, key, signature)
      if (isSigned) nonces.add(nonce)
      return isSigned || nonces.has(nonce)
    },
  }
}

/** Empty where it cannot be read. */
function nonceOf(payload: Uint8Array): string {
  try {
    return (JSON.parse(new TextDecoder().decode(payload)) as { readonly nonce?: string }).nonce ?? ''
  } catch {
    return ''
  }
}

export const evidenceMutants: MutantTable = {
  suite: evidenceVerifierRules.kind,
  rules: evidenceVerifierRules.rules.map(({ id }) => id),
  mutants: [...common('appraise'), ...appraisals, ...replays, ...hostile],
  unbroken: {},
}
