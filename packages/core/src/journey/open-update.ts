import { formatPlatform } from '../content/platform.ts'
import type { Target } from '../plugin/target.ts'
import type { Planned, Presented } from '../update/device-line.ts'
import { imageOf } from '../update/release-line.ts'
import type { OpenUpdate, UpdateDeployment } from './device-record.ts'

/** An update as it is planned, before the journal dates it. */
export type NewUpdate = Omit<OpenUpdate, 'at' | 'since'>

/** The facts of a plan: enough to derive its proofs again. */
export function newUpdate(
  seq: number,
  planned: Planned,
  target: Target,
  how: {
    readonly reports: boolean
    readonly policy: string
    readonly presented?: Presented | undefined
    readonly deployment?: UpdateDeployment | undefined
  },
): NewUpdate {
  const { admitted, release } = planned
  const { id: _, ...device } = admitted.device
  const { resolved, version } = release.held.verified
  return {
    seq,
    stage: 'plan',
    reference: resolved.reference,
    ...(resolved.tag === undefined ? {} : { tag: resolved.tag }),
    version,
    digest: imageOf(release).image.descriptor.digest,
    target: target.name,
    platforms: target.platforms(admitted.device).map(formatPlatform),
    plan: planned.plan,
    policy: how.policy,
    device,
    by: admitted.principal.by,
    ...(how.presented === undefined ? {} : { presented: storedEvidence(how.presented) }),
    observations: [],
    reports: how.reports,
    ...(how.deployment === undefined ? {} : { deployment: how.deployment }),
  }
}

function storedEvidence({ evidence, nonce }: Presented): NonNullable<OpenUpdate['presented']> {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  return { mediaType: evidence.mediaType, body: base64(evidence.body), nonce: base64(nonce) }
}
