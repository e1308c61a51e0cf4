import {
  checkPage,
  coreError,
  type FleetStore,
  fleetDeviceLimit,
  judgeClaim,
  type Lease,
  leaseHolds,
  noCounters,
  openDeploymentLimit,
  positionOf,
  shareOf,
  type UpdateState,
} from '@reflash/core'
import type { Transaction } from 'kysely'
import { connect, type SqlConnection } from './connect.ts'
import { type Db, deploymentRow, deploymentRows, labelsOf, matching, recorded } from './fleet-queries.ts'
import { auditOf, deploymentOf, deviceOf, intentRow, progressRow, releaseOf, updateOf, updateRow } from './fleet-rows.ts'
import type { SqlOptions } from './sql-options.ts'
import type { Tables } from './tables.ts'

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

  async function expectRoom(trx: Transaction<Tables>): Promise<void> {
    uncounted += 1
    if (uncounted < countedEvery) return
    const { n } = await trx
      .selectFrom('device')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .executeTakeFirstOrThrow()
    if (Number(n) >= fleetDeviceLimit) throw full('devices', fleetDeviceLimit)
    uncounted = 0
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
        const row = await db.selectFrom('device').selectAll().where('id', '=', id).executeTakeFirst()
        return row && deviceOf(row, (await labelsOf(db, [id])).get(id) ?? [])
      }),
    putDevice: ({ id, model, installed, labels, bucket }, { ifVersion, audit, signal }) =>
      write(signal, async (trx) => {
        const before = await locked(trx.selectFrom('device').select('version').where('id', '=', id)).executeTakeFirst()
        const found = before === undefined ? null : String(before.version)
        if (found !== ifVersion) throw conflict(`device ${id}`, ifVersion, found)
        const version = (before?.version ?? 0) + 1
        const row = { id, model: model ?? null, installed: installed ?? null, bucket, version }
        if (before === undefined) {
          await expectRoom(trx)
          const made = await trx
            .insertInto('device')
            .values(row)
            .onConflict((oc) => oc.column('id').doNothing())
            .executeTakeFirst()
          if (made.numInsertedOrUpdatedRows !== 1n) throw conflict(`device ${id}`, ifVersion, 'a new one')
        } else await trx.updateTable('device').set(row).where('id', '=', id).execute()
        if (audit !== undefined) {
          await trx.deleteFrom('label').where('device', '=', id).execute()
          const rows = Object.entries(labels).map(([name, value]) => ({ device: id, name, value }))
          if (rows.length > 0) await trx.insertInto('label').values(rows).execute()
          await recorded(trx, audit)
        }
        return String(version)
      }),
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
        return deploymentOf(await known(trx, intent.id))
      }),
    deployment: (id, o) =>
      read(o?.signal, async (db) => {
        const row = await deploymentRow(db, id)
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
    claim: (claim, o) =>
      write(o?.signal, async (trx) => {
        const { deployment: id, device, deviceVersion } = claim
        // Locked first here and at every end of an update: claims of one deployment go one by one.
        await locked(trx.selectFrom('deployment').select('number').where('id', '=', id)).executeTakeFirst()
        const deployment = deploymentOf(await known(trx, id))
        const seen = await trx.selectFrom('device').select('version').where('id', '=', device).executeTakeFirst()
        const version = seen === undefined ? null : String(seen.version)
        if (version !== deviceVersion) throw conflict(`device ${device}`, deviceVersion, version)
        const row = await updateRows(trx, id, device).executeTakeFirst()
        const { answer, from } = judgeClaim(deployment, row && updateOf(row), claim)
        if (answer.is !== 'taken') return answer
        const next = updateRow(answer.update)
        if (row === undefined) await trx.insertInto('device_update').values(next).execute()
        else await trx.updateTable('device_update').set(next).where('deployment', '=', id).where('device', '=', device).execute()
        await count(trx, id, from, claim.as)
        return answer
      }),
    settle: ({ deployment, device, attempt, state, attested, at, because }, o) =>
      write(o?.signal, async (trx) => {
        await locked(trx.selectFrom('deployment').select('number').where('id', '=', deployment)).executeTakeFirst()
        const ended = await trx
          .updateTable('device_update')
          .set({ state, attested: attested ? 1 : 0, at, because: JSON.stringify(because) })
          .where('deployment', '=', deployment)
          .where('device', '=', device)
          .where('state', '=', 'offered')
          .where('attempt', '=', attempt)
          .executeTakeFirst()
        if (ended.numUpdatedRows !== 1n) return false
        await count(trx, deployment, 'offered', state)
        return true
      }),
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

async function known(db: Db, id: string) {
  const row = await deploymentRow(db, id)
  if (row === undefined) throw unknown(id)
  return row
}

async function count(db: Db, id: string, from: UpdateState | undefined, to: UpdateState): Promise<void> {
  await db
    .updateTable('deployment')
    .set((eb) => ({ [to]: eb(to, '+', 1), ...(from === undefined ? {} : { [from]: eb(from, '-', 1) }) }))
    .where('id', '=', id)
    .execute()
}

async function expectNewest({ locked }: SqlConnection, trx: Transaction<Tables>, { name, holder, token }: Lease): Promise<void> {
  // Locked until the change is committed: nobody takes the lease over between the look and the write.
  const newest = await locked(trx.selectFrom('lease').select('token').where('name', '=', name)).executeTakeFirst()
  if (newest?.token === token) return
  throw coreError('LEASE_LOST', `lease ${name}: expected token ${token} of ${holder} to be the newest, found ${newest?.token ?? 'none'}`)
}

function conflict(what: string, expected: string | null, found: string | null): Error {
  return coreError('FLEET_CONFLICT', `${what}: expected version ${expected}, found ${found}; read it again`)
}

function unknown(id: string): Error {
  return coreError('UNKNOWN_DEPLOYMENT', `expected a deployment ${JSON.stringify(id)}, found none`)
}

function full(what: string, limit: number): Error {
  return coreError('FLEET_FULL', `expected at most ${limit} ${what}, found as many`)
}
