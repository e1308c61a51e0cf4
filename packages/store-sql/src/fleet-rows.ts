import type {
  AuditEntry,
  Counters,
  Deployment,
  DeploymentIntent,
  DeploymentProgress,
  DeploymentState,
  Digest,
  FleetDevice,
  FleetRelease,
  FleetUpdate,
  Reason,
  UpdateState,
} from '@reflash/core'
import type { Insertable, Selectable, Updateable } from 'kysely'
import type { Tables } from './tables.ts'

// Rows of the database, and what they are to the fleet; nothing is decided here.

type Row<T extends keyof Tables> = Selectable<Tables[T]>

/** Labels may come from a join that found none. */
export function deviceOf(
  row: Row<'device'>,
  labels: readonly { readonly name: string | null; readonly value: string | null }[],
): FleetDevice {
  const { id, model, installed, bucket, version } = row
  return {
    id,
    ...(model === null ? {} : { model }),
    ...(installed === null ? {} : { installed }),
    labels: Object.fromEntries(labels.flatMap(({ name, value }) => (name === null || value === null ? [] : [[name, value]]))),
    bucket,
    version: String(version),
  }
}

export function releaseOf({ id, repository, version, digest }: Row<'release'>): FleetRelease {
  return { id, repository, version, ...(digest === null ? {} : { digest: digest as Digest }) }
}

export type DeploymentRow = Row<'deployment'> & {
  readonly repository: string
  readonly release_version: string
  readonly digest: string | null
}

/** The row of a deployment, joined with that of its release. */
export function deploymentOf(row: DeploymentRow): Deployment {
  const { id, at, state, wave, size, bound, forgiven } = row
  const release = releaseOf({ id: row.release, repository: row.repository, version: row.release_version, digest: row.digest })
  return {
    id,
    at,
    release,
    selector: JSON.parse(row.selector) as Deployment['selector'],
    waves: JSON.parse(row.waves) as readonly number[],
    successPercent: Number(row.success_percent),
    failurePercent: Number(row.failure_percent),
    waveMs: row.wave_ms,
    proof: row.proof === 1,
    state: state as DeploymentState,
    wave,
    size,
    bound,
    ...(row.wave_at === null ? {} : { waveAt: row.wave_at }),
    forgiven,
    because: reasonsOf(row.because),
    number: row.number,
    counters: countersOf(row),
    version: String(row.version),
  }
}

function countersOf({ offered, confirmed, failed, unobserved, skipped, withdrawn }: Counters): Counters {
  return { offered, confirmed, failed, unobserved, skipped, withdrawn }
}

export function intentRow(
  intent: DeploymentIntent,
): Omit<Insertable<Tables['deployment']>, keyof ReturnType<typeof progressRow> | 'version'> {
  return {
    id: intent.id,
    at: intent.at,
    release: intent.release.id,
    selector: JSON.stringify(intent.selector),
    waves: JSON.stringify(intent.waves),
    success_percent: String(intent.successPercent),
    failure_percent: String(intent.failurePercent),
    wave_ms: intent.waveMs,
    proof: intent.proof ? 1 : 0,
  }
}

export function progressRow({ state, wave, size, bound, waveAt, forgiven, because }: DeploymentProgress) {
  return {
    state,
    wave,
    size,
    bound,
    wave_at: waveAt ?? null,
    forgiven,
    because: JSON.stringify(because),
  } satisfies Updateable<Tables['deployment']>
}

export function updateOf({ deployment, device, wave, state, attempt, attested, at, because }: Row<'device_update'>): FleetUpdate {
  return {
    deployment,
    device,
    wave,
    state: state as UpdateState,
    attempt,
    attested: attested === 1,
    at,
    because: reasonsOf(because),
  }
}

export function updateRow({ attested, because, ...rest }: FleetUpdate): Row<'device_update'> {
  return { ...rest, attested: attested ? 1 : 0, because: JSON.stringify(because) }
}

export function auditOf({ at, who, action, subject, because }: Row<'audit'>): AuditEntry {
  return { at, by: who, action, subject, because: reasonsOf(because) }
}

export function auditRow({ at, by, action, subject, because }: AuditEntry): Insertable<Tables['audit']> {
  return { at, who: by, action, subject, because: JSON.stringify(because) }
}

function reasonsOf(text: string): readonly Reason[] {
  return JSON.parse(text) as readonly Reason[]
}
