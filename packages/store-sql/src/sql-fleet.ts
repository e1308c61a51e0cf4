import {
  checkPage,
  coreError,
  type FleetStore,
  fleetDeviceLimit,
  type Lease,
  leaseHolds,
  noCounters,
  openDeploymentLimit,
  positionOf,
  shareOf,
} from '@reflash/core'
import type { Transaction } from 'kysely'
import { connect, type SqlConnection } from './connect.ts'
import { awaitedOf, type Db, deploymentRow, deploymentRows, labelledDevice, labelsOf, matching, recorded } from './fleet-queries.ts'
import { conflict, full, unknown } from './fleet-refusals.ts'
import { auditOf, deploymentOf, deviceOf, intentRow, progressRow, releaseOf, updateOf } from './fleet-rows.ts'
import { placesOf } from './places.ts'
import type { SqlOptions } from './sql-options.ts'
import type { Tables } from './tables.ts'
import { versionNumber } from './version-number.ts'

/** Registrations between two counts of all devices: counting a million rows at each would be most of what a registration costs. */
const countedEvery = 1_000
const openStates = ['running', 'paused']

/**
 * Makes a fleet store on SQLite (`file`) or PostgreSQL (`url`), beside the journal in the same database. No I/O before its first call.
 * @throws `INVALID_OPTIONS`; its methods `FLEET_CONFLICT`, `FLEET_UNAVAILABLE`, `FLEET_FULL`, `LEASE_LOST`, `UNKNOWN_DEPLOYMENT`,
 * `INVALID_PAGE`, `FLEET_CLOSED`, `JOURNAL_CORRUPT`, `JOURNAL_TOO_NEW`, `NOT_A_JOURNAL`, `SQLITE_MISSING`, `ABORTED`
 */
export function sqlFleet(options: SqlOptions): FleetStore {
  const connection = connect(options, 'fleet')
  const { read, write, locked } = connection
  let uncounted = countedEvery

  async function expectRoom(db: Db): Promise<void> {
    uncounted += 1
    if (uncounted < countedEvery) return
    const { n } = await db
      .selectFrom('device')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .executeTakeFirstOrThrow()
    if (Number(n) >= fleetDeviceLimit) throw full('devices', fleetDeviceLimit)
    uncounted = 0
  }

  type Put = Parameters<FleetStore['putDevice']>[0]

  /** One statement, whose condition is the compare-and-set. False where the device has another version. */
  async function stored(db: Db, { id, model, installed, bucket }: Put, ifVersion: string | null): Promise<boolean> {
    const row = { model: model ?? null, installed: installed ?? null, bucket }
    if (ifVersion !== null) {
      const known = versionNumber(ifVersion)
      const changed = db.updateTable('device').set({ ...row, version: known + 1 })
      return (await changed.where('id', '=', id).where('version', '=', known).executeTakeFirst()).numUpdatedRows === 1n
    }
    await expectRoom(db)
    const made = db.insertInto('device').values({ ...row, id, version: 1 })
    return (await made.onConflict((oc) => oc.column('id').doNothing()).executeTakeFirst()).numInsertedOrUpdatedRows === 1n
  }

  async function put(db: Db, device: Put, ifVersion: string | null): Promise<string> {
    if (await stored(db, device, ifVersion)) return ifVersion === null ? '1' : String(versionNumber(ifVersion) + 1)
    const found = await db.selectFrom('device').select('version').where('id', '=', device.id).executeTakeFirst()
    throw conflict(`device ${device.id}`, ifVersion, found === undefined ? null : String(found.version))
  }

  return Object.freeze<FleetStore>({
    kind: 'fleet-store',
    name: connection.name,
    spec: 0,
    revision: (o) =>
      read(o?.signal, async (db) => {
        const { revision } = await db.selectFrom('fleet').select('revision').executeTakeFirstOrThrow()
        return String(revision)
      }),
    device: (id, o) =>
      read(o?.signal, async (db) => {
        const rows = await labelledDevice(db, id)
        return rows[0] && deviceOf(rows[0], rows)
      }),
    putDevice: (device, { ifVersion, audit, signal }) => {
      if (audit === undefined) return read(signal, (db) => put(db, device, ifVersion))
      return write(signal, async (trx) => {
        const version = await put(trx, device, ifVersion)
        await trx.deleteFrom('label').where('device', '=', device.id).execute()
        const rows = Object.entries(device.labels).map(([name, value]) => ({ device: device.id, name, value }))
        if (rows.length > 0) await trx.insertInto('label').values(rows).execute()
        await recorded(trx, audit)
        return version
      })
    },
    async devices({ selector = {}, after = '', limit }, o) {
      checkPage(limit)
      return read(o?.signal, async (db) => {
        const rows = await matching(db, selector).selectAll('device').where('id', '>', after).orderBy('id').limit(limit).execute()
        const labels = await labelsOf(
          db,
          rows.map(({ id }) => id),
        )
        return rows.map((row) => deviceOf(row, labels.get(row.id) ?? []))
      })
    },
    cohort: (selector, start, percent, o) =>
      read(o?.signal, async (db) => {
        const count = async (from: '>=' | '<'): Promise<number> => {
          const counted = matching(db, selector).where('bucket', from, start)
          const { n } = await counted.select((eb) => eb.fn.countAll<number>().as('n')).executeTakeFirstOrThrow()
          return Number(n)
        }
        // Once round, from the start to the end of the index and on from its beginning.
        const [high, low] = [await count('>='), await count('<')]
        const size = shareOf(high + low, percent)
        if (size === 0) return { members: high + low, size, bound: -1 }
        const [from, offset] = size <= high ? (['>=', size - 1] as const) : (['<', size - high - 1] as const)
        const nth = matching(db, selector).select('bucket').where('bucket', from, start).orderBy('bucket').limit(1).offset(offset)
        const last = await nth.executeTakeFirst()
        // Devices that left between the two looks: the size is what keeps a wave small.
        return { members: high + low, size, bound: last === undefined ? 2 ** 32 - 1 : positionOf(last.bucket, start) }
      }),
    awaited: (id, reach, o) =>
      read(o?.signal, async (db) => {
        const row = await deploymentRow(db, id).executeTakeFirst()
        if (row === undefined) throw unknown(id)
        return awaitedOf(db, deploymentOf(row), reach)
      }),
    createDeployment: (intent, { audit, signal }) =>
      write(signal, async (trx) => {
        const { n } = await trx
          .selectFrom('deployment')
          .select((eb) => eb.fn.countAll<number>().as('n'))
          .where('state', 'in', openStates)
          .executeTakeFirstOrThrow()
        if (Number(n) >= openDeploymentLimit) throw full('open deployments', openDeploymentLimit)
        const { id, repository, version, digest } = intent.release
        await trx
          .insertInto('release')
          .values({ id, repository, version, digest: digest ?? null })
          .onConflict((oc) => oc.column('id').doNothing())
          .execute()
        const made = await trx
          .insertInto('deployment')
          .values({ ...intentRow(intent), ...progressRow(notStarted), version: 1 })
          .onConflict((oc) => oc.column('id').doNothing())
          .executeTakeFirst()
        if (made.numInsertedOrUpdatedRows !== 1n)
          throw coreError('FLEET_CONFLICT', `deployment ${intent.id}: expected a new id, found one that is taken`)
        await recorded(trx, audit)
        return deploymentOf(await deploymentRow(trx, intent.id).executeTakeFirstOrThrow())
      }),
    deployment: (id, o) =>
      read(o?.signal, async (db) => {
        const row = await deploymentRow(db, id).executeTakeFirst()
        return row && deploymentOf(row)
      }),
    async deployments({ open = false, limit }, o) {
      checkPage(limit)
      return read(o?.signal, async (db) => {
        const all = deploymentRows(db).orderBy('number', 'desc').limit(limit)
        return (await (open ? all.where('state', 'in', openStates) : all).execute()).map(deploymentOf)
      })
    },
    changeDeployment: (id, progress, { ifVersion, fence, audit, signal }) =>
      write(signal, async (trx) => {
        if (fence !== undefined) await expectNewest(connection, trx, fence)
        const row = await locked(trx.selectFrom('deployment').select('version').where('id', '=', id)).executeTakeFirst()
        if (row === undefined) throw unknown(id)
        const found = String(row.version)
        if (found !== ifVersion) throw conflict(`deployment ${id}`, ifVersion, found)
        const version = row.version + 1
        await trx
          .updateTable('deployment')
          .set({ ...progressRow(progress), version })
          .where('id', '=', id)
          .execute()
        await recorded(trx, audit)
        return String(version)
      }),
    async releases({ after = '', limit }, o) {
      checkPage(limit)
      return read(o?.signal, async (db) => {
        const rows = db.selectFrom('release').selectAll().where('id', '>', after).orderBy('id').limit(limit)
        return (await rows.execute()).map(releaseOf)
      })
    },
    ...placesOf(connection),
    update: (deployment, device, o) =>
      read(o?.signal, async (db) => {
        const row = await updateRows(db, deployment, device).executeTakeFirst()
        return row && updateOf(row)
      }),
    async updates({ deployment, state, after = '', limit }, o) {
      checkPage(limit)
      return read(o?.signal, async (db) => {
        const all = db.selectFrom('device_update').selectAll().where('deployment', '=', deployment).where('device', '>', after)
        const wanted = state === undefined ? all : all.where('state', '=', state)
        return (await wanted.orderBy('device').limit(limit).execute()).map(updateOf)
      })
    },
    recount: (deployment, o) =>
      read(o?.signal, async (db) => {
        const rows = await db
          .selectFrom('device_update')
          .select(['state', (eb) => eb.fn.countAll<number>().as('n')])
          .where('deployment', '=', deployment)
          .groupBy('state')
          .execute()
        return { ...noCounters, ...Object.fromEntries(rows.map(({ state, n }) => [state, Number(n)])) }
      }),
    lease: (name, holder, { now, until }, o) =>
      write(o?.signal, async (trx) => {
        const first = await trx
          .insertInto('lease')
          .values({ name, holder, token: 1, until: until.getTime() })
          .onConflict((oc) => oc.column('name').doNothing())
          .executeTakeFirst()
        if (first.numInsertedOrUpdatedRows === 1n) return { name, holder, token: 1 }
        const held = await locked(trx.selectFrom('lease').selectAll().where('name', '=', name)).executeTakeFirstOrThrow()
        if (held.holder !== holder && leaseHolds(held.until, now.getTime())) return undefined
        const token = held.holder === holder ? held.token : held.token + 1
        await trx.updateTable('lease').set({ holder, token, until: until.getTime() }).where('name', '=', name).execute()
        return { name, holder, token }
      }),
    async audit({ subject, limit }, o) {
      checkPage(limit)
      return read(o?.signal, async (db) => {
        const all = db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(limit)
        return (await (subject === undefined ? all : all.where('subject', '=', subject)).execute()).map(auditOf)
      })
    },
    close: connection.close,
  })
}

const notStarted = { state: 'running', wave: 0, size: 0, bound: -1, forgiven: 0, because: [] } as const

function updateRows(db: Db, deployment: string, device: string) {
  return db.selectFrom('device_update').selectAll().where('deployment', '=', deployment).where('device', '=', device)
}

async function expectNewest({ locked }: SqlConnection, trx: Transaction<Tables>, { name, holder, token }: Lease): Promise<void> {
  // Locked until the change is committed: nobody takes the lease over between the look and the write.
  const newest = await locked(trx.selectFrom('lease').select('token').where('name', '=', name)).executeTakeFirst()
  if (newest?.token === token) return
  throw coreError('LEASE_LOST', `lease ${name}: expected token ${token} of ${holder} to be the newest, found ${newest?.token ?? 'none'}`)
}
