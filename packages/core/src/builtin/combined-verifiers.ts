import { digestOf } from '../content/digest.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { Check } from '../plugin/plugin.ts'
import type { SignatureVerifier, VerificationResult } from '../plugin/signature-verifier.ts'

/** Passes where one of `verifiers` passes. */
export function anyOf(...verifiers: readonly SignatureVerifier[]): SignatureVerifier {
  return atLeast(1, ...verifiers)
}

/**
 * Passes where `count` of `verifiers` pass; covers the root only where `count` of them do. With fewer than that failed for good, an
 * inconclusive one makes the whole inconclusive.
 * @throws `INVALID_COMPOSITION` where the threshold cannot be met
 */
export function atLeast(count: number, ...verifiers: readonly SignatureVerifier[]): SignatureVerifier {
  if (!Number.isInteger(count) || count < 1 || count > verifiers.length) {
    throw fail('INVALID_COMPOSITION', `expected a threshold from 1 to ${verifiers.length} (the number of verifiers), found ${count}`)
  }
  const names = verifiers.map(({ name }) => name)
  if (new Set(names).size !== names.length)
    throw fail('INVALID_COMPOSITION', `expected verifiers of different names, found ${names.join(', ')}`)
  const opens = verifiers.map(({ opens }) => opens).filter((text) => text !== undefined)
  return Object.freeze({
    kind: 'signature-verifier',
    name: `at-least-${count}(${names.join(',')})`,
    spec: 0,
    ...(opens.length > 0 ? { opens: opens.join('; ') } : {}),
    policy: digestOf(new TextEncoder().encode(JSON.stringify([count, verifiers.map(({ name, policy }) => [name, policy])]))),
    verify: async (subject, context) => {
      const results: VerificationResult[] = []
      for (const verifier of verifiers) {
        results.push(
          await verifier.verify(subject, context).catch((error: unknown): VerificationResult => {
            if (isOtaError(error) && error.fault === 'unavailable') {
              return { covers: 'manifest', checks: [{ name: error.code, status: 'inconclusive', reason: error.message }] }
            }
            throw error
          }),
        )
      }
      return combine(count, names, results)
    },
    close: async () => {
      for (const verifier of verifiers) await verifier.close?.()
    },
  } satisfies SignatureVerifier)
}

function combine(count: number, names: readonly string[], results: readonly VerificationResult[]): VerificationResult {
  const passing = results.filter(
    ({ checks }) => checks.length > 0 && checks.every(({ status }) => status === 'passed' || status === 'skipped'),
  )
  if (passing.length >= count) {
    const rootCovered = passing.filter(({ covers }) => covers === 'root').length >= count
    const signer = passing.find((result) => result.signer !== undefined)?.signer
    return {
      covers: rootCovered ? 'root' : 'manifest',
      checks: passing.flatMap(({ checks }) => checks),
      ...(signer === undefined ? {} : { signer }),
    }
  }
  const open = results.filter(
    ({ checks }) => checks.some(({ status }) => status === 'inconclusive') && !checks.some(({ status }) => status === 'failed'),
  )
  const undecided = passing.length + open.length >= count
  const told = results.flatMap(({ checks }, index) =>
    checks
      .filter(({ status }) => status === 'failed' || status === 'inconclusive')
      .map(
        (check): Check => ({
          ...check,
          status: undecided ? 'inconclusive' : 'failed',
          reason: `${names[index]}: ${check.reason ?? check.name}`,
        }),
      ),
  )
  const summary: Check = {
    name: 'THRESHOLD',
    status: undecided ? 'inconclusive' : 'failed',
    reason: `expected ${count} of ${names.length} verifiers to pass, found ${passing.length}`,
  }
  return { covers: 'manifest', checks: [summary, ...told] }
}
