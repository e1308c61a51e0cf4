import type { Socket } from 'node:net'
import { coreError, isOtaError, type OtaError } from '@reflash/core'
import { type Dialect, PostgresDialect, type PostgresPool } from 'kysely'
import type { Client, Pool, PoolClient } from 'pg'
import { schemaVersion, steps, postgresDialect as words } from './schema.ts'
import { fail } from './sql-errors.ts'
import type { CheckedPostgres } from './sql-options.ts'

/** How long a pool waits for what, in milliseconds. */
export interface PostgresTimes {
  readonly connectMs: number
  readonly statementMs: number
  readonly answerMs: number
  readonly idleMs: number
  readonly aliveMs: number
}

const postgresTimes: PostgresTimes = {
  // A server that does not let us in within this, or a pool without a free connection, is away.
  connectMs: 5_000,
  // A statement of this package takes milliseconds; counting a million devices takes seconds. The server ends it.
  statementMs: 30_000,
  // Five seconds later than the server would have: who does not say so has died, or the line to it has, and TCP alone would wait for a quarter of an hour.
  answerMs: 35_000,
  // A quiet connection is given back to the server before firewalls forget it; most of them take minutes.
  idleMs: 30_000,
  // Looked after from then on, so that one that is waited on, or lent out, is known to be dead though nobody writes to it.
  aliveMs: 10_000,
}
/** "reflash" and the migration: whoever holds this advisory lock changes the schema. */
const migrationLock = 0x72666c31
/** int8, in the catalog of PostgreSQL. */
const int8 = 20

/** Kysely on a pool of connections to PostgreSQL. Nothing is loaded or opened before the first query, which brings the schema to this version. */
export function postgresDialect(options: CheckedPostgres, times: PostgresTimes = postgresTimes): Dialect {
  let made: Promise<PostgresPool> | undefined
  const pool = (): Promise<PostgresPool> => {
    made ??= openPool(options, times).catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }
  return new PostgresDialect({ pool })
}

async function openPool({ url, schema, connections, shown }: CheckedPostgres, times: PostgresTimes): Promise<PostgresPool> {
  const { connectMs, statementMs, answerMs, idleMs, aliveMs } = times
  const { default: pg } = await import('pg')
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: connectMs,
    query_timeout: answerMs,
    idleTimeoutMillis: idleMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: aliveMs,
    // Numbers here are below 2^53; a session that a dead replica leaves behind must not hold its locks.
    types: {
      getTypeParser: (id: number, format?: 'text' | 'binary') => (id === int8 ? Number : pg.types.getTypeParser(id, format as 'text')),
    },
    options: `-c search_path=${schema} -c statement_timeout=${statementMs} -c idle_in_transaction_session_timeout=${statementMs}`,
    application_name: 'reflash',
  })
  // A connection that breaks while nobody uses it is replaced; unheard, the event would end the process.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => leaveSilent(client as unknown as Client))
  try {
    await migrated(pool, schema, shown)
    return pool as unknown as PostgresPool
  } catch (error) {
    await pool.end()
    throw error
  }
}

/** What was not answered in time blocks its connection: back in the pool, it would keep all who come after it waiting too. */
function leaveSilent(client: Client): void {
  // One that breaks while it is lent out and asked nothing: the next query says so; unheard, the event would end the process.
  client.on('error', () => undefined)
  const query = client.query.bind(client) as (...args: readonly unknown[]) => unknown
  const watched = (...args: readonly unknown[]): unknown => {
    const answer = query(...args)
    if (!(answer instanceof Promise)) return answer
    return answer.catch((error: unknown) => {
      // What the server says has an SQLSTATE, and what the network says a name; without either it is the driver that has given up.
      if ((error as { readonly code?: unknown }).code === undefined) cut(client)
      throw error
    })
  }
  client.query = watched as Client['query']
}

function cut(client: Client): void {
  // Of the driver, and not in its types: `end` alone says goodbye to the server, and waits for it.
  ;(client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream.destroy()
  // Marks it at once, so that the pool does not lend it out again.
  client.end().catch(() => undefined)
}

async function migrated(pool: Pool, schema: string, shown: string): Promise<void> {
  const client = await pool.connect()
  try {
    if ((await versionOf(client, schema)) !== schemaVersion) await migrate(client, schema, shown)
  } finally {
    client.release()
  }
}

/** Brings a schema to this version in one transaction; of several replicas that try at once, one does it. */
async function migrate(client: PoolClient, schema: string, shown: string): Promise<void> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [migrationLock])
    const found = await versionOf(client, schema)
    if (found !== undefined && found > schemaVersion) {
      const message = `${shown}: this version knows schemas up to ${schemaVersion}, found schema ${found}; update it`
      throw fail('JOURNAL_TOO_NEW', message, { details: { known: schemaVersion, found } })
    }
    if (found === undefined) await begin(client, schema, shown)
    for (const step of steps.slice(found ?? 0)) await client.query(step(words))
    await client.query(`UPDATE ${schema}.reflash_schema SET version = $1`, [schemaVersion])
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  }
}

async function begin(client: PoolClient, schema: string, shown: string): Promise<void> {
  const { rows } = await client.query(
    'SELECT n.oid, count(c.oid) AS relations FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid WHERE n.nspname = $1 GROUP BY n.oid',
    [schema],
  )
  const there = rows[0] as { readonly relations: number } | undefined
  if (there !== undefined && there.relations > 0) {
    throw fail(
      'NOT_A_JOURNAL',
      `${shown}: expected schema "${schema}" to be empty or of reflash, found tables of another program; name another`,
    )
  }
  // Asked for only where it is missing: "IF NOT EXISTS" needs the right to make one even then.
  if (there === undefined) await client.query(`CREATE SCHEMA ${schema}`)
  await client.query(`CREATE TABLE ${schema}.reflash_schema (version BIGINT NOT NULL)`)
  await client.query(`INSERT INTO ${schema}.reflash_schema VALUES (0)`)
}

async function versionOf(client: PoolClient, schema: string): Promise<number | undefined> {
  // Read from the catalog, and named with its schema: what another replica has made meanwhile is not in this session's cache of names.
  const { rows } = await client.query(
    "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'reflash_schema'",
    [schema],
  )
  if (rows.length === 0) return undefined
  const { rows: versions } = await client.query(`SELECT version FROM ${schema}.reflash_schema`)
  return (versions[0] as { readonly version: number }).version
}

/** Whether a transaction was broken off because of others: begun anew, it may succeed. */
export function isPassing(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown }
  // serialization_failure, deadlock_detected
  return code === '40001' || code === '40P01'
}

// Classes of SQLSTATE that say something about the server or the network and nothing about what was asked: connection, authorization,
// resources, operator intervention, system, rolled back because of others, object in use; and transaction state: a standby takes no writes until it
// is promoted, and a session that stalls within a transaction is ended.
const awayClasses = new Set(['08', '25', '28', '53', '57', '58', '40', '55', '3D'])

/** Puts what PostgreSQL or the network says into the words of a journal. */
export function postgresFailure(error: unknown, shown: string): OtaError {
  if (isOtaError(error)) return error
  const { message, code } = error as Error & { readonly code?: unknown }
  const options = { cause: error, details: { database: shown } }
  // Five characters are SQLSTATE; the names of the network (ECONNREFUSED) and the words of the driver ("Connection terminated") are no answer.
  const state = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
  if (state === undefined || awayClasses.has(state.slice(0, 2))) {
    return coreError('JOURNAL_UNAVAILABLE', `${shown}: the database cannot be used now: ${message}`, options)
  }
  return fail('JOURNAL_CORRUPT', `${shown}: the database is not what was made for it: ${state}: ${message}`, options)
}
