import type { Snapshot } from '../catalog/tag-shelves.ts'
import { fail } from '../core-errors.ts'
import type { Deployment } from '../plugin/fleet-store.ts'
import type { Release } from '../update/release-line.ts'

const narrowings = new WeakMap<Snapshot, Map<string, Snapshot>>()

/** The tags of a snapshot that a deployment may bring; one object for each pair, so that the same question is seen to be the same. */
export function narrowed(snapshot: Snapshot, deployment: Deployment | undefined): Snapshot {
  if (deployment === undefined) return snapshot
  const known = narrowings.get(snapshot) ?? new Map<string, Snapshot>()
  narrowings.set(snapshot, known)
  const { version } = deployment.release
  const made = known.get(version) ?? { ...snapshot, tags: snapshot.tags.filter((tag) => tag.version === version) }
  known.set(version, made)
  return made
}

/**
 * Holds that a release is the one that was rolled out, and not another that its tag was moved to.
 * @throws `PLAN_REFUSED`
 */
export function expectBrought({ held }: Release, deployment: Deployment | undefined): void {
  const pinned = deployment?.release.digest
  const { root } = held.verified.resolved
  if (pinned === undefined || root.digest === pinned) return
  const message = `deployment ${deployment?.id} brings ${pinned}, and the tag points at ${root.digest} now`
  throw fail('PLAN_REFUSED', message, { because: [{ code: 'RELEASE_MOVED', message }] })
}
