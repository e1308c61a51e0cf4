import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { AppraiseContext, AttestationResult, Evidence, EvidenceVerifier, Measurement } from '../../plugin/evidence-verifier.ts'
import { memoryJournal } from '../../testing/memory-journal.ts'
import { contextOf, sampleBytes, suiteNow } from '../content.ts'
import type { Challenge, EvidenceVerifierInstance } from '../evidence-verifier-suite.ts'
import { otaError } from '../refusal.ts'
import { rulesOf } from '../suite.ts'

export const rule = rulesOf<EvidenceVerifierInstance>('evidence-verifier')

/** What a device measures, by a number. */
export function measurementsOf(seed: number): readonly Measurement[] {
  const digest = Buffer.from(sampleBytes(32, seed)).toString('hex')
  return [{ environment: { vendor: 'example', layer: 1 }, digests: [{ hashAlg: 'sha256', digest }] }]
}

export function challengeOf(change: Partial<Challenge> = {}): Challenge {
  return { nonce: sampleBytes(32, 77), purpose: 'confirm', deviceId: 'device-1', measurements: measurementsOf(1), ...change }
}

/** The appraisal that a challenge asks for. */
export function appraisalOf({ nonce, purpose, deviceId }: Challenge, change: Partial<AppraiseContext> = {}): AppraiseContext {
  return { ...contextOf(), nonce, purpose, deviceId, references: [], state: memoryJournal(), ...change }
}

const tiers: readonly unknown[] = ['affirming', 'warning', 'contraindicated', 'none']

/** Appraises, and holds that a result is whole and about what was asked. A refusal by an OtaError is `undefined`. */
export async function appraised(
  plugin: EvidenceVerifier,
  evidence: Evidence,
  context: AppraiseContext,
): Promise<AttestationResult | undefined> {
  let result: AttestationResult
  try {
    result = await plugin.appraise(evidence, context)
  } catch (error) {
    otaError('appraise', error, { fault: ['rejected', 'invalid', 'unsupported'] })
    return undefined
  }
  expectResult(result, context)
  return result
}

function expectResult(result: AttestationResult, { nonce, purpose, deviceId, now }: AppraiseContext): void {
  ok(typeof result === 'object' && result !== null, 'expected a result, found none')
  ok(tiers.includes(result.tier), `tier: expected one of ${tiers.join(', ')}, found ${String(result.tier)}`)
  strictEqual(result.purpose, purpose, 'purpose: expected the one that was asked for')
  strictEqual(result.deviceId, deviceId, 'deviceId: expected the one that was asked for')
  ok(result.nonce instanceof Uint8Array, 'nonce: expected bytes')
  deepStrictEqual([...result.nonce], [...nonce], 'nonce: expected the one that was asked for')
  ok(
    result.appraisedAt instanceof Date && result.appraisedAt.getTime() === now.getTime(),
    `appraisedAt: expected the time of the run (${now.toISOString()}), found ${String(result.appraisedAt)}`,
  )
  ok(result.expires instanceof Date && result.expires.getTime() > now.getTime(), 'expires: expected a time after the appraisal')
  ok(Array.isArray(result.checks), 'checks: expected a list')
  ok(Array.isArray(result.measurements), 'measurements: expected a list')
  if (result.tier === 'affirming') {
    ok(
      result.checks.every(({ status }) => status === 'passed' || status === 'skipped'),
      'checks: expected none that failed in an affirming result',
    )
    ok(
      result.checks.some(({ status }) => status === 'passed'),
      'checks: expected at least one that passed in an affirming result',
    )
  } else {
    ok(
      result.checks.some(({ status }) => status !== 'passed'),
      `checks: expected to see why the tier is "${result.tier}"`,
    )
  }
}

/** Holds that evidence is good. */
export async function affirms(
  what: string,
  plugin: EvidenceVerifier,
  evidence: Evidence,
  context: AppraiseContext,
): Promise<AttestationResult> {
  const result = await appraised(plugin, evidence, context)
  strictEqual(result?.tier, 'affirming', `${what}: expected that it is affirmed, found ${JSON.stringify(result?.checks ?? 'an error')}`)
  return result as AttestationResult
}

/** Holds that evidence is refused, by an error or by any other tier. */
export async function denies(what: string, plugin: EvidenceVerifier, evidence: Evidence, context: AppraiseContext): Promise<void> {
  const result = await appraised(plugin, evidence, context)
  ok(result?.tier !== 'affirming', `${what}: expected that it is not affirmed, found that it is`)
}

export const laterNow = new Date(suiteNow.getTime() + 3_600_000)
