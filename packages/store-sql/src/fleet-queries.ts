import type { AuditEntry, Selector } from '@reflash/core'
import type { Expression, ExpressionBuilder, Kysely, Selectable, SqlBool, Transaction } from 'kysely'
import { auditRow, type DeploymentRow } from './fleet-rows.ts'
import type { Tables } from './tables.ts'

/** The database, or one transaction of it. */
export type Db = Kysely<Tables> | Transaction<Tables>

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

export async function deploymentRow(db: Db, id: string): Promise<DeploymentRow | undefined> {
  return deploymentRows(db).where('deployment.id', '=', id).executeTakeFirst()
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
