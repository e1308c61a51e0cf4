import type { ReleaseCatalog } from './catalog/release-catalog.ts'
import { parsePlatform } from './content/platform.ts'
import { fail } from './core-errors.ts'
import type { OpenUpdate, StoredObservation } from './journey/device-record.ts'
import type { Journal } from './plugin/journal.ts'
import type { RunContext } from './plugin/plugin.ts'
import type { Target } from './plugin/target.ts'
import { admit } from './update/admit.ts'
import { deliver } from './update/deliver.ts'
import type { Delivered, DeviceDeps, Installed, Planned, Presented } from './update/device-line.ts'
import { install } from './update/install.ts'
import type { Verdict } from './update/observation.ts'
import { restorePlan } from './update/plan.ts'
import { quoted } from './update/quoted.ts'
import { imageOf } from './update/release-line.ts'

/** How far an open update has come, as a proof. */
export type Resumed =
  | { readonly stage: 'plan'; readonly proof: Planned }
  | { readonly stage: 'deliver'; readonly proof: Delivered }
  | { readonly stage: 'install'; readonly proof: Installed }

export interface ResumeDeps extends DeviceDeps {
  readonly catalog: Pick<ReleaseCatalog, 'pinned'>
  readonly targets: readonly Target[]
}

/**
 * Derives the proofs of a stored update again, verification included: the journal holds facts, and is not a root of trust.
 * @throws `FACTS_CORRUPT` (invalid) where the facts do not lead to where they claim; `TARGET_UNKNOWN`; what the rooms throw
 */
export async function resume(deviceId: string, open: OpenUpdate, deps: ResumeDeps, context: RunContext): Promise<Resumed> {
  const target = deps.targets.find(({ name }) => name === open.target)
  if (target === undefined) {
    throw fail(
      'TARGET_UNKNOWN',
      `device ${deviceId}: expected target ${quoted(open.target)}, which planned its update; found ${deps.targets.map(({ name }) => name).join(', ')}`,
    )
  }
  const release = await deps.catalog.pinned(open.reference, open.platforms.map(parsePlatform), target, context.signal)
  if (imageOf(release).image.descriptor.digest !== open.digest)
    throw corrupt(deviceId, `${open.reference} does not hold image ${open.digest}`)
  // Admitted as it was then: the same evidence, judged at the same time, and without what a verifier has learned since (a higher security
  // version, of the very image that this update brings).
  const then = { ...context, now: new Date(open.at) }
  const line = { ...deps, journal: noMemory(deps.journal) }
  const admitted = await admit({ ...open.device, id: deviceId }, { deviceId, by: open.by }, presentedOf(open), line, then)
  const planned = restorePlan(`${deviceId}/${open.seq}`, admitted, release, target, open.plan)
  if (open.stage === 'plan') return { stage: 'plan', proof: planned }
  const delivered = passed(deviceId, deliver(planned, observation(deviceId, open, 0)))
  if (open.stage === 'deliver') return { stage: 'deliver', proof: delivered }
  return { stage: 'install', proof: passed(deviceId, install(delivered, observation(deviceId, open, 1))) }
}

function noMemory(journal: Journal): Journal {
  return { ...journal, get: async () => undefined, put: async () => 'forgotten' }
}

function presentedOf({ presented }: OpenUpdate): Presented | undefined {
  if (presented === undefined) return undefined
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
  return { evidence: { mediaType: presented.mediaType, body: bytes(presented.body) }, nonce: bytes(presented.nonce) }
}

function observation(deviceId: string, { observations, stage }: OpenUpdate, index: number): StoredObservation {
  const found = observations[index]
  if (found === undefined) throw corrupt(deviceId, `the update is said to have passed "${stage}", but what it passed by is missing`)
  return found
}

function passed<P>(deviceId: string, verdict: Verdict<P>): P {
  if (verdict.is === 'passed') return verdict.proof
  throw corrupt(deviceId, verdict.because.map(({ message }) => message).join('; '))
}

function corrupt(deviceId: string, why: string): Error {
  return fail('FACTS_CORRUPT', `device ${deviceId}: expected facts that lead to where its update is said to be: ${why}`)
}
