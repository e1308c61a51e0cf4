import type { AuditEntry, FleetUpdate, Selector } from '@reflash/core'
import type { Expression, ExpressionBuilder, Kysely, Selectable, SqlBool, Transaction } from 'kysely'
import { auditRow, updateOf } from './fleet-rows.ts'
import type { Tables } from './tables.ts'

/** The database, or one transaction of it. */
export type Db = Kysely<Tables> | Transaction<Tables>

type UpdateRow = Selectable<Tables['device_update']>

/** Devices that match, nothing selected yet. */
export function matching(db: Db, selector: Selector) {
  return db.selectFrom('device').where((eb) => selected(eb, selector))
}

function selected(eb: ExpressionBuilder<Tables, 'device'>, selector: Selector) {
  return eb.and(
    Object.entries(selector).map(
      ([name, values]): Expression<SqlBool> =>
        name === 'model'
          ? eb('device.model', 'in', values)
          : eb.exists(
              eb
                .selectFrom('label')
                .select('label.name')
                .whereRef('label.device', '=', 'device.id')
                .where('label.name', '=', name)
                .where('label.value', 'in', values),
            ),
    ),
  )
}

/** Deployments with their releases, as `deploymentOf` reads them. */
export function deploymentRows(db: Db) {
  return db
    .selectFrom('deployment')
    .innerJoin('release', 'release.id', 'deployment.release')
    .selectAll('deployment')
    .select(['release.repository', 'release.version as release_version', 'release.digest'])
}

export function deploymentRow(db: Db, id: string) {
  return deploymentRows(db).where('deployment.id', '=', id)
}

/** A device, once for each of its labels, by their names; once without any where it has none. */
export function labelledDevice(db: Db, id: string) {
  return db
    .selectFrom('device')
    .leftJoin('label', 'label.device', 'device.id')
    .selectAll('device')
    .select(['label.name', 'label.value'])
    .where('device.id', '=', id)
    .orderBy('label.name')
    .execute()
}

/** Devices, each with its row in a deployment where it has one. */
export async function claimants(db: Db, deployment: string, devices: readonly string[]): Promise<ReadonlyMap<string, Claimant>> {
  const rows = await db
    .selectFrom('device')
    .leftJoin('device_update', (join) =>
      join.onRef('device_update.device', '=', 'device.id').on('device_update.deployment', '=', deployment),
    )
    .select(['device.id', 'device.version'])
    .selectAll('device_update')
    .where('device.id', 'in', devices)
    .execute()
  return new Map(
    rows.map(({ id, version, ...update }) => [id, { version: String(version), update: isJoined(update) ? updateOf(update) : undefined }]),
  )
}

export interface Claimant {
  readonly version: string
  readonly update: FleetUpdate | undefined
}

function isJoined(row: { readonly [C in keyof UpdateRow]: UpdateRow[C] | null }): row is UpdateRow {
  return row.state !== null
}

/** Labels of devices, by device. */
export async function labelsOf(db: Db, devices: readonly string[]): Promise<ReadonlyMap<string, Selectable<Tables['label']>[]>> {
  const labels = new Map<string, Selectable<Tables['label']>[]>()
  if (devices.length === 0) return labels
  for (const row of await db.selectFrom('label').selectAll().where('device', 'in', devices).orderBy('name').execute()) {
    const known = labels.get(row.device)
    if (known === undefined) labels.set(row.device, [row])
    else known.push(row)
  }
  return labels
}

/** Records who did what, and tells every cache that something has changed. The row of `fleet` is locked last, so that nobody waits in a circle. */
export async function recorded(db: Db, audit: AuditEntry): Promise<void> {
  await db.insertInto('audit').values(auditRow(audit)).execute()
  await db
    .updateTable('fleet')
    .set((eb) => ({ revision: eb('revision', '+', 1) }))
    .where('id', '=', 0)
    .execute()
}
