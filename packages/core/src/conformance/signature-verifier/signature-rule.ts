import { deepStrictEqual, ok } from 'node:assert/strict'
import { checked } from '../../content/checked.ts'
import type { Descriptor } from '../../content/descriptor.ts'
import type { SignatureVerifier, Subject, VerificationResult, VerifyContext } from '../../plugin/signature-verifier.ts'
import { memoryJournal } from '../../testing/memory-journal.ts'
import { type MemoryRegistry, memoryRegistry } from '../../testing/memory-registry.ts'
import { contextOf, sampleBytes } from '../content.ts'
import { otaError } from '../refusal.ts'
import type { SignatureVerifierInstance } from '../signature-verifier-suite.ts'
import { rulesOf } from '../suite.ts'

export const rule = rulesOf<SignatureVerifierInstance>('signature-verifier')

export type From = VerifyContext['from']

/** A registry with two artifacts, and an index over both. */
export interface Shelf {
  readonly registry: MemoryRegistry
  readonly repository: string
  readonly first: Descriptor
  readonly second: Descriptor
  readonly index: Descriptor
}

const repository = 'registry.test/fw/app'

export function shelf(): Shelf {
  const registry = memoryRegistry()
  const add = (seed: number, architecture: string): Descriptor =>
    registry.addArtifact(repository, { content: sampleBytes(500, seed), version: `1.${seed}.0`, platform: { os: 'custom', architecture } })
      .manifest
  const [first, second] = [add(1, 'one'), add(2, 'two')]
  return { registry, repository, first, second, index: registry.addIndex(repository, { manifests: [first, second], tag: '1.0.0' }) }
}

export function subjectOf(root: Descriptor, manifest: Descriptor = root): Subject {
  return Object.freeze({
    repository,
    reference: `${repository}:1.0.0`,
    root: Object.freeze({ ...root }),
    manifest: Object.freeze({ ...manifest }),
  })
}

/** The registry as core hands it to a verifier: whatever is read has the digest and the size that it was asked for by, or the stream fails. */
export function fromOf(registry: MemoryRegistry): From {
  return {
    resolve: registry.resolve,
    referrers: registry.referrers,
    fetch: async (name, descriptor, options) => checked(await registry.fetch(name, descriptor, options), descriptor),
  }
}

/** What a composition makes of one verification. */
export interface Outcome {
  readonly is: 'passed' | 'failed' | 'inconclusive'
  readonly result?: VerificationResult
}

const statuses: readonly unknown[] = ['passed', 'failed', 'skipped', 'inconclusive']

/** Verifies, and judges as core does; anything that is neither a result nor an OtaError fails the rule, and so does an abort that nobody asked for. */
export async function judged(verifier: SignatureVerifier, subject: Subject, from: From, signal?: AbortSignal): Promise<Outcome> {
  const context: VerifyContext = { ...contextOf(signal), from, state: memoryJournal() }
  let result: VerificationResult
  try {
    result = await verifier.verify(subject, context)
  } catch (error) {
    const { fault } = otaError('verify', error, { fault: ['rejected', 'invalid', 'unsupported', 'unavailable'] })
    return { is: fault === 'unavailable' ? 'inconclusive' : 'failed' }
  }
  expectResult(result)
  const found = result.checks.map(({ status }) => status)
  if (found.includes('failed')) return { is: 'failed', result }
  return { is: found.includes('inconclusive') ? 'inconclusive' : 'passed', result }
}

function expectResult(result: VerificationResult): void {
  ok(typeof result === 'object' && result !== null, 'expected a result, found none')
  ok(result.covers === 'root' || result.covers === 'manifest', `covers: expected root or manifest, found ${String(result.covers)}`)
  ok(
    Array.isArray(result.checks) && result.checks.length > 0,
    'checks: expected at least one: a verifier that checks nothing vouches for nothing',
  )
  for (const { name, status, reason } of result.checks) {
    ok(typeof name === 'string' && name.length > 0, 'checks: expected a name for each')
    ok(statuses.includes(status), `check ${name}: expected a status, found ${String(status)}`)
    ok(status === 'passed' || (typeof reason === 'string' && reason.length > 0), `check ${name}: expected a reason for "${status}"`)
  }
  deepStrictEqual(JSON.parse(JSON.stringify(result)), { ...result }, 'expected a result that JSON can carry unchanged')
}
