import type { Descriptor } from '../content/descriptor.ts'
import type { SignatureVerifier } from '../plugin/signature-verifier.ts'
import type { MemoryRegistry } from '../testing/memory-registry.ts'
import { defineSuite, type Runner } from './define-suite.ts'
import { pluginRules } from './plugin-rules.ts'
import { signatureFailureRules } from './signature-verifier/failing-registry.ts'
import { forgeryRules } from './signature-verifier/forgeries.ts'
import { signatureResultRules } from './signature-verifier/results.ts'
import type { Instance, Rule, Suite, SuiteOptions } from './suite.ts'

/** Puts something into a repository of a registry that the suite has made. */
export type SignInto = (registry: MemoryRegistry, repository: string, subject: Descriptor) => Promise<void>

export interface SignatureVerifierInstance extends Instance<SignatureVerifier> {
  /**
   * Signs a manifest or an index as the users of the plugin do, with a key that this plugin trusts and that of no other call of `make` does:
   * afterwards the registry holds what the plugin looks for.
   */
  readonly sign: SignInto
  /** What an attacker might put there instead, in the plugin's own format; each must be refused. Besides those that the suite knows. */
  readonly forgeries?: readonly { readonly name: string; readonly forge: SignInto }[]
}

export type SignatureVerifierSuiteOptions = SuiteOptions<SignatureVerifierInstance>
export type SignatureRule = Rule<SignatureVerifierInstance>

/** Every demand on a `SignatureVerifier`. */
export const signatureVerifierRules: Suite<SignatureVerifierInstance> = Object.freeze({
  kind: 'signature-verifier',
  rules: Object.freeze([
    ...pluginRules<SignatureVerifierInstance, unknown>('signature-verifier', { required: ['verify'] }),
    ...signatureResultRules,
    ...forgeryRules,
    ...signatureFailureRules,
  ]),
  settings: () => undefined,
  exchange: (instance: SignatureVerifierInstance, exchange: <P extends object>(plugin: P) => P): SignatureVerifierInstance => ({
    ...instance,
    plugin: exchange(instance.plugin),
  }),
})

/**
 * Defines a test for every rule that a signature verifier must keep.
 * @example
 * ```ts
 * import { generateKeyPairSync } from 'node:crypto'
 * import { signatureVerifierSuite } from '@reflash/core/conformance'
 * import { cosignVerifier, openUnencryptedKey, signArtifact } from '@reflash/registry-oci'
 * import { describe, it } from 'node:test'
 *
 * signatureVerifierSuite({ describe, it }, {
 *   make: async () => {
 *     const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
 *     const key = openUnencryptedKey(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
 *     return {
 *       plugin: cosignVerifier({ keys: [key.publicKeyPem] }),
 *       sign: async (registry, repository, { digest }) => void (await signArtifact(registry, `${repository}@${digest}`, key)),
 *       dispose: async () => {},
 *     }
 *   },
 * })
 * ```
 */
export function signatureVerifierSuite(runner: Runner, options: SignatureVerifierSuiteOptions): void {
  defineSuite(signatureVerifierRules, runner, options)
}
