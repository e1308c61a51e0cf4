import { resolve } from 'node:path'
import { coreError } from '@reflash/core'
import type { Synchronous } from './open-database.ts'

/** One file that processes of one machine share. */
export interface SqliteOptions {
  /** Path of the database; it and its folder are made at the first call, readable by their owner only. */
  readonly file: string
  /**
   * `full` (default): what was acknowledged survives a power cut, because every commit waits for the disk. `normal`: it survives the death
   * of the process, and a power cut may take the last seconds back, to an older but consistent state.
   */
  readonly synchronous?: Synchronous
}

/** A server that replicas on several machines share. */
export interface PostgresOptions {
  /** `postgres://user@host:port/database`; what it leaves out, and the password, come from PGHOST, PGPASSWORD, ~/.pgpass and their like. */
  readonly url: string
  /** The schema in the database that the tables are in; made where it is missing. `reflash` where absent. */
  readonly schema?: string
  /** Connections at once; 8 where absent. */
  readonly connections?: number
}

export type SqlOptions = SqliteOptions | PostgresOptions

/** More help no database, and servers commonly take a hundred from all. */
const connectionLimit = 64

export interface CheckedSqlite extends Required<SqliteOptions> {}

export interface CheckedPostgres extends Required<PostgresOptions> {
  /** Without what is secret. */
  readonly shown: string
}

/** @throws `INVALID_OPTIONS` */
export function checkSqlOptions(who: string, options: SqlOptions): CheckedSqlite | CheckedPostgres {
  return 'url' in options ? checkPostgres(who, options) : checkSqlite(who, options)
}

/** @throws `INVALID_OPTIONS` */
export function checkSqlite(who: string, { file, synchronous = 'full' }: SqliteOptions): CheckedSqlite {
  if (typeof file !== 'string' || file === '' || file === ':memory:' || file.includes('\0')) {
    throw coreError('INVALID_OPTIONS', `${who}: file must be the path of a file; found ${JSON.stringify(file)}`)
  }
  if (synchronous !== 'full' && synchronous !== 'normal') {
    throw coreError('INVALID_OPTIONS', `${who}: synchronous must be "full" or "normal"; found ${JSON.stringify(synchronous)}`)
  }
  return { file: resolve(file), synchronous }
}

function checkPostgres(who: string, { url, schema = 'reflash', connections = 8 }: PostgresOptions): CheckedPostgres {
  const parsed = typeof url === 'string' ? URL.parse(url) : null
  // The text itself may hold a password.
  if (parsed === null || !/^postgres(?:ql)?:$/.test(parsed.protocol)) {
    throw coreError('INVALID_OPTIONS', `${who}: url must be postgres://user@host:port/database; found something else`)
  }
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw coreError('INVALID_OPTIONS', `${who}: schema must be lower case letters, digits and _; found ${JSON.stringify(schema)}`)
  }
  if (!Number.isInteger(connections) || connections < 1 || connections > connectionLimit) {
    throw coreError('INVALID_OPTIONS', `${who}: connections must be from 1 to ${connectionLimit}; found ${String(connections)}`)
  }
  return { url, schema, connections, shown: `postgres://${parsed.host}${parsed.pathname}` }
}
