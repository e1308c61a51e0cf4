import type { Descriptor } from '../content/descriptor.ts'
import { manifestLimitBytes } from '../content/media-types.ts'
import { fail } from '../core-errors.ts'
import type { Reason } from '../errors.ts'
import type { Check, RunContext } from '../plugin/plugin.ts'
import { pluginState } from '../plugin/plugin-state.ts'
import type { SignatureVerifier, VerificationResult, VerifyContext } from '../plugin/signature-verifier.ts'
import { hold } from './held-content.ts'
import { quoted } from './quoted.ts'
import type { ReleaseDeps, Resolved } from './release-line.ts'

/** Reasons of one verifier that are told; 32 signatures tried against each key make more. */
const reasonLimit = 16

/**
 * Runs one signature verifier and returns what it said, if it passed.
 * @throws `SIGNATURE_REFUSED` (rejected), `SIGNATURE_INCONCLUSIVE` (unavailable), and what the verifier throws
 */
export async function runVerifier(
  verifier: SignatureVerifier,
  resolved: Resolved,
  deps: ReleaseDeps,
  context: RunContext,
): Promise<VerificationResult> {
  const { repository, reference, root, manifest } = resolved
  const state = pluginState(deps.journal, verifier)
  const from = contentFor(verifier, deps, context)
  const result = await verifier.verify({ repository, reference, root, manifest }, { ...context, from, state })
  const checks = Array.isArray(result?.checks) ? result.checks : []
  const reasons = (counts: (status: Check['status']) => boolean): readonly Reason[] =>
    checks
      .filter(({ status }) => counts(status))
      .slice(0, reasonLimit)
      .map(({ name, reason }) => ({ code: name, message: `${verifier.name}: ${reason ?? name}` }))
  // Fail closed: what is not plainly passed, skipped or inconclusive has failed, also a status that nobody knows.
  const failed = reasons((status) => status !== 'passed' && status !== 'skipped' && status !== 'inconclusive')
  if (failed.length > 0 || checks.length === 0) {
    const because = failed.length > 0 ? failed : [{ code: 'SIGNATURE_REFUSED', message: `${verifier.name} made no check` }]
    throw fail('SIGNATURE_REFUSED', `${reference}: ${because.map(({ message }) => message).join('; ')}`, { stage: 'verify', because })
  }
  const open = reasons((status) => status === 'inconclusive')
  if (open.length > 0) {
    const message = `${reference}: ${open.map((reason) => reason.message).join('; ')}`
    throw fail('SIGNATURE_INCONCLUSIVE', message, { stage: 'verify', because: open })
  }
  return result
}

// What a verifier reads is held too: verification must be possible again while the registry is down.
function contentFor({ name }: SignatureVerifier, deps: ReleaseDeps, context: RunContext): VerifyContext['from'] {
  const { registry } = deps
  const fetch: VerifyContext['from']['fetch'] = async (repository, descriptor: Descriptor, options = {}) => {
    // Before a signature has passed, nobody makes this server read more than a manifest, or push what it needs out of its cache.
    if (!(descriptor.size <= manifestLimitBytes)) {
      throw fail(
        'MANIFEST_TOO_LARGE',
        `verifier ${name}: expected at most ${manifestLimitBytes} bytes, found ${quoted(descriptor.size)}; the limit is fixed`,
      )
    }
    const held = await hold(repository, descriptor, deps, context)
    return held.open(options.offset === undefined ? undefined : { offset: options.offset })
  }
  return { resolve: registry.resolve, fetch, ...(registry.referrers === undefined ? {} : { referrers: registry.referrers }) }
}
