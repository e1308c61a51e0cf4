import type { Evidence, EvidenceVerifier, Measurement, Purpose } from '../plugin/evidence-verifier.ts'
import { defineSuite, type Runner } from './define-suite.ts'
import { evidenceAppraisalRules } from './evidence-verifier/appraisals.ts'
import { evidenceHostileRules } from './evidence-verifier/hostile-evidence.ts'
import { evidenceReplayRules } from './evidence-verifier/replay.ts'
import { pluginRules } from './plugin-rules.ts'
import type { Instance, Rule, Suite, SuiteOptions } from './suite.ts'

/** What a device is asked to prove. */
export interface Challenge {
  readonly nonce: Uint8Array
  readonly purpose: Purpose
  readonly deviceId: string
  readonly measurements: readonly Measurement[]
}

export interface EvidenceVerifierInstance extends Instance<EvidenceVerifier> {
  /**
   * Makes good evidence as a device does, with a key that this plugin trusts and that of no other call of `make` does.
   */
  issue(challenge: Challenge): Promise<Evidence>
  /** What evidence of this kind carries besides the nonce, so that it can be told where it is shown for another device or purpose. */
  readonly carries: readonly ('deviceId' | 'purpose')[]
  /** Evidence of the plugin's own kind that must not be affirmed, such as an expired or revoked key; besides what the suite knows. */
  readonly forgeries?: readonly { readonly name: string; readonly forge: (challenge: Challenge) => Promise<Evidence> }[]
}

export type EvidenceVerifierSuiteOptions = SuiteOptions<EvidenceVerifierInstance>
export type EvidenceRule = Rule<EvidenceVerifierInstance>

/** Every demand on an `EvidenceVerifier`. */
export const evidenceVerifierRules: Suite<EvidenceVerifierInstance> = Object.freeze({
  kind: 'evidence-verifier',
  rules: Object.freeze([
    ...pluginRules<EvidenceVerifierInstance, unknown>('evidence-verifier', { required: ['appraise'] }),
    ...evidenceAppraisalRules,
    ...evidenceReplayRules,
    ...evidenceHostileRules,
  ]),
  settings: () => undefined,
  exchange: (instance: EvidenceVerifierInstance, exchange: <P extends object>(plugin: P) => P): EvidenceVerifierInstance => ({
    ...instance,
    plugin: exchange(instance.plugin),
  }),
})

/**
 * Defines a test for every rule that an evidence verifier must keep.
 * @example
 * ```ts
 * import type { EvidenceVerifier } from '@reflash/core'
 * import { type Challenge, evidenceVerifierSuite } from '@reflash/core/conformance'
 * import { describe, it } from 'node:test'
 *
 * declare function myVerifier(options: { readonly trustAnchor: string }): EvidenceVerifier
 * declare function deviceOf(seed: string): { readonly trustAnchor: string; prove(challenge: Challenge): Uint8Array }
 *
 * evidenceVerifierSuite({ describe, it }, {
 *   make: async () => {
 *     const device = deviceOf(crypto.randomUUID())
 *     return {
 *       plugin: myVerifier(device),
 *       issue: async (challenge) => ({ mediaType: 'application/my-evidence', body: device.prove(challenge) }),
 *       carries: ['deviceId', 'purpose'],
 *       dispose: async () => {},
 *     }
 *   },
 * })
 * ```
 */
export function evidenceVerifierSuite(runner: Runner, options: EvidenceVerifierSuiteOptions): void {
  defineSuite(evidenceVerifierRules, runner, options)
}
