import {
  admit,
  defaultPolicy,
  deliver,
  fetch,
  type InstalledProof,
  inspect,
  install,
  type Planned,
  type Policy,
  plan,
  type Release,
  type ReleaseDeps,
  resolve,
  signedVersions,
  unattestedDevices,
  type Verdict,
  verify,
} from '@reflash/core'
import { memoryTarget } from '@reflash/core/testing'
import { principal, repository, world } from '../composition.ts'

export const signal = new AbortController().signal
export const policy: Policy = defaultPolicy

export function depsOf(from: ReturnType<typeof world>, changed: Partial<ReleaseDeps> = {}): ReleaseDeps {
  const { registry, cache, journal, verifiers } = from.composition
  return { registry, cache, journal, verifiers, versions: signedVersions(), target: memoryTarget(), imageLimitBytes: 1 << 20, ...changed }
}

export const contextOf = (from: ReturnType<typeof world>) => ({ signal, now: from.clock.now() })

/** Every proof up to a plan, for release 1.1.0 and a device that runs 1.0.0. */
export async function walked(changed: Partial<ReleaseDeps> = {}) {
  const from = world()
  from.release('1.1.0')
  const all = depsOf(from, changed)
  const context = contextOf(from)
  const resolved = await resolve(`${repository}:1.1.0`, [], all, context)
  const verified = await verify(resolved, all, context)
  const held = await fetch(verified, all, context)
  const release = await inspect(held, all, context)
  const device = { id: 'd1', model: 'board', installed: { version: '1.0.0' } }
  const deps = { attestation: [unattestedDevices()], journal: all.journal, policy }
  const admitted = await admit(device, principal('d1'), undefined, deps, context)
  const planned = plan('d1/1', admitted, release, all.target)
  return { from, all, context, resolved, verified, held, release, admitted, planned }
}

export const imageIn = (release: Release) => (release.images[0] as Release['images'][number]).image

/** What passed, as a proof; a test that expected to get here fails otherwise. */
export function proofOf<P>(verdict: Verdict<P>): P {
  if (verdict.is === 'passed') return verdict.proof
  throw new Error(`expected a passed verdict, found ${verdict.is}: ${JSON.stringify(verdict.because)}`)
}

export function installed(planned: Planned): InstalledProof {
  const delivered = proofOf(deliver(planned, { by: 'report', report: { state: 'downloaded' } }))
  return proofOf(install(delivered, { by: 'report', report: { state: 'installed' } }))
}
