import { digestHex, digestOf } from '../content/digest.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { Journal } from '../plugin/journal.ts'
import type { Check } from '../plugin/plugin.ts'
import type { SignatureVerifier, Subject, VerificationResult, VerifyContext } from '../plugin/signature-verifier.ts'

/** Each verifier may ask the registry: more than this many are a mistake. */
const verifierLimit = 32

/**
 * Passes where one of `verifiers` passes.
 * @throws `INVALID_COMPOSITION`, as `atLeast`
 */
export function anyOf(...verifiers: readonly SignatureVerifier[]): SignatureVerifier {
  return atLeast(1, ...verifiers)
}

/**
 * Passes where `count` of `verifiers` pass; covers the root only where `count` of them do. Where those that could not tell would be enough
 * to reach `count`, the whole cannot tell either. A verifier that throws has failed, or could not tell where the fault is `unavailable`.
 * @throws `INVALID_COMPOSITION` where the threshold cannot be met, or two of the verifiers decide by the same keys and would count twice
 * @example
 * const verifier = atLeast(2, cosignVerifier({ keys: [build] }), cosignVerifier({ keys: [release] }), cosignVerifier({ keys: [spare] }))
 */
export function atLeast(count: number, ...verifiers: readonly SignatureVerifier[]): SignatureVerifier {
  if (verifiers.length > verifierLimit)
    throw fail('INVALID_COMPOSITION', `expected at most ${verifierLimit} verifiers, found ${verifiers.length}`)
  if (!Number.isInteger(count) || count < 1 || count > verifiers.length) {
    throw fail('INVALID_COMPOSITION', `expected a threshold from 1 to ${verifiers.length} (the number of verifiers), found ${count}`)
  }
  const labels = labelsOf(verifiers)
  if (new Set(verifiers.map(({ name, policy }) => JSON.stringify([name, policy]))).size !== verifiers.length) {
    throw fail('INVALID_COMPOSITION', `expected verifiers that differ in what decides, found the same one twice: ${labels.join(', ')}`)
  }
  const opens = verifiers.map((verifier) => verifier.opens).filter((text) => text !== undefined)
  return Object.freeze({
    kind: 'signature-verifier',
    name: `at-least-${count}(${labels.join(',')})`,
    spec: 0,
    ...(opens.length > 0 ? { opens: opens.join('; ') } : {}),
    policy: digestOf(new TextEncoder().encode(JSON.stringify([count, verifiers.map(({ name, policy }) => [name, policy])]))),
    verify: async (subject, context) => {
      const results: VerificationResult[] = []
      for (const [index, verifier] of verifiers.entries()) {
        results.push(await attempt(verifier, subject, { ...context, state: sliceOf(context.state, labels[index] as string) }))
      }
      return combine(count, labels, results)
    },
    close: async () => {
      const ended = await Promise.allSettled(verifiers.map((verifier) => verifier.close?.()))
      for (const end of ended) if (end.status === 'rejected') throw end.reason
    },
  } satisfies SignatureVerifier)
}

/** Names, told apart by what decides where two are the same: two verifiers of one kind with different keys. */
function labelsOf(verifiers: readonly SignatureVerifier[]): readonly string[] {
  const shared = (name: string): boolean => verifiers.filter((verifier) => verifier.name === name).length > 1
  return verifiers.map(({ name, policy }) =>
    shared(name) ? `${name}#${digestHex(digestOf(new TextEncoder().encode(policy))).slice(0, 8)}` : name,
  )
}

// Each keeps a memory of its own: two of a kind must not take each other's for theirs.
function sliceOf(state: VerifyContext['state'], label: string): Pick<Journal, 'get' | 'put'> {
  const prefix = `${encodeURIComponent(label.toWellFormed())}/`
  return {
    get: (key, options) => state.get(prefix + key, options),
    put: (key, value, options) => state.put(prefix + key, value, options),
  }
}

// One verifier that chokes on what an attacker wrote for it must not decide for the others.
async function attempt(verifier: SignatureVerifier, subject: Subject, context: VerifyContext): Promise<VerificationResult> {
  try {
    return await verifier.verify(subject, context)
  } catch (error) {
    if (!isOtaError(error) || error.fault === 'aborted' || error.fault === 'internal') throw error
    const status = error.fault === 'unavailable' ? 'inconclusive' : 'failed'
    return { covers: 'manifest', checks: [{ name: error.code, status, reason: error.message }] }
  }
}

const isGood = ({ status }: Check): boolean => status === 'passed' || status === 'skipped'

function combine(count: number, labels: readonly string[], results: readonly VerificationResult[]): VerificationResult {
  const passing = results.filter(({ checks }) => checks.length > 0 && checks.every(isGood))
  if (passing.length >= count) {
    const signer = passing.find((result) => result.signer !== undefined)?.signer
    return {
      covers: passing.filter(({ covers }) => covers === 'root').length >= count ? 'root' : 'manifest',
      checks: passing.flatMap(({ checks }) => checks),
      ...(signer === undefined ? {} : { signer }),
    }
  }
  const untold = results.filter(
    ({ checks }) =>
      checks.some(({ status }) => status === 'inconclusive') && checks.every((check) => isGood(check) || check.status === 'inconclusive'),
  )
  const status = passing.length + untold.length >= count ? 'inconclusive' : 'failed'
  const told = results.flatMap(({ checks }, index) =>
    checks
      .filter((check) => !isGood(check))
      .map((check): Check => ({ ...check, status, reason: `${labels[index]}: ${check.reason ?? check.name}` })),
  )
  const reason = `expected ${count} of ${labels.length} verifiers to pass, found ${passing.length}`
  return { covers: 'manifest', checks: [{ name: 'THRESHOLD', status, reason }, ...told] }
}
