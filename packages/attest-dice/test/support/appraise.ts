import type { AttestationResult } from '@reflash/core'
import { memoryJournal } from '@reflash/core/testing'
import { verifierOf } from '../../src/dice-verifier.ts'
import { steps } from '../../src/step/steps.ts'
import type { BrokenChain } from '../../src/testing/index.ts'

/** Shows evidence to a new verifier, without one of its steps where one is named. */
export async function appraise(broken: BrokenChain, without?: string): Promise<AttestationResult> {
  const { options, evidence, before, challenge, enrolled, now } = broken
  const verifier = verifierOf(
    options,
    steps.filter(({ name }) => name !== without),
  )
  const state = memoryJournal()
  const context = {
    ...challenge,
    ...(enrolled === undefined ? {} : { enrolled }),
    now,
    references: [],
    state,
    signal: new AbortController().signal,
  }
  if (before !== undefined) {
    const { tier } = await verifier.appraise(before, context)
    if (tier !== 'affirming') throw new Error(`${broken.name}: expected the evidence before to be affirmed, found ${tier}`)
  }
  return verifier.appraise(evidence, context)
}

/** The checks that failed, each once, sorted. */
export function failed({ checks }: Pick<AttestationResult, 'checks'>): readonly string[] {
  return [...new Set(checks.filter(({ status }) => status === 'failed').map(({ name }) => name))].sort()
}
