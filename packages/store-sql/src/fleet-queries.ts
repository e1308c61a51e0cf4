import type { AuditEntry, Awaited, Deployment, FleetUpdate, Reach, Selector } from '@reflash/core'
import { type Expression, type ExpressionBuilder, type Kysely, type Selectable, type SqlBool, sql, type Transaction } from 'kysely'
import { auditRow, updateOf } from './fleet-rows.ts'
import type { Tables } from './tables.ts'

/** The database, or one transaction of it. */
export type Db = Kysely<Tables> | Transaction<Tables>

/** Buckets of devices go from 0 to one below this. */
const bucketCount = 2 ** 32

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

/** Counts what the devices of a deployment within a reach, and its updates, have to do with each other. */
export async function awaitedOf(db: Db, { id, selector }: Pick<Deployment, 'id' | 'selector'>, reach: Reach): Promise<Awaited> {
  const rows = await within(db, selector, reach)
    .leftJoin('device_update', (join) => join.onRef('device_update.device', '=', 'device.id').on('device_update.deployment', '=', id))
    .where((eb) => eb.or([eb('device_update.state', 'is', null), eb('device_update.state', '=', 'withdrawn')]))
    .select(['device_update.state', (eb) => eb.fn.countAll<number>().as('n')])
    .groupBy('device_update.state')
    .execute()
  const counted = (wanted: string | null): number => Number(rows.find(({ state }) => state === wanted)?.n ?? 0)
  // By what they are, not as a difference: whoever takes a place between the two looks is not among them.
  const { n } = await db
    .selectFrom('device_update')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .where('deployment', '=', id)
    .where((eb) =>
      eb.not(eb.exists(within(db, selector, reach).select('device.id').whereRef('device.id', '=', sql.ref('device_update.device')))),
    )
    .executeTakeFirstOrThrow()
  return { fresh: counted(null), withdrawn: counted('withdrawn'), outside: Number(n) }
}

function within(db: Db, selector: Selector, { start, bound }: Reach) {
  const end = start + bound
  return matching(db, selector).where((eb) => {
    // Once round the index: what reaches beyond its end goes on from its beginning. No bucket is below 0.
    const [from, to] = [eb('device.bucket', '>=', start), eb('device.bucket', '<=', end % bucketCount)]
    return bound < 0 ? eb('device.bucket', '<', 0) : end < bucketCount ? eb.and([from, to]) : eb.or([from, to])
  })
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
