import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { isBusy } from './journal-failure.ts'

// As for the journal: another process may hold the lock for one commit; a disk that stalls for longer is a failure to report.
const patienceMs = 5_000
const retryPauseMs = 3
/** Texts of statements kept; selectors of people make new ones. */
const keptStatements = 256

/** Kysely on the runtime's own SQLite. `open` is called at the first query, and again where it failed. */
export function sqliteKysely(open: () => DatabaseSync): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createDriver: () => driver(open),
  }
}

function driver(open: () => DatabaseSync): Driver {
  let database: DatabaseSync | undefined
  let connection: DatabaseConnection | undefined
  const opened = (): DatabaseSync => database as DatabaseSync
  return {
    async init() {
      database = await patiently(open)
      connection = connectionOf(database)
    },
    acquireConnection: async () => connection as DatabaseConnection,
    // Immediate: a transaction that begins by reading could not wait for the lock when it comes to write.
    beginTransaction: () => patiently(() => opened().exec('BEGIN IMMEDIATE')),
    commitTransaction: () => patiently(() => opened().exec('COMMIT')),
    async rollbackTransaction() {
      // SQLite has rolled back by itself where a commit failed.
      if (opened().isTransaction) opened().exec('ROLLBACK')
    },
    releaseConnection: async () => {},
    destroy: async () => database?.close(),
  }
}

async function patiently<T>(work: () => T): Promise<T> {
  for (const giveUpAt = performance.now() + patienceMs; ; ) {
    try {
      return work()
    } catch (error) {
      if (!isBusy(error) || performance.now() >= giveUpAt) throw error
    }
    await pause(retryPauseMs)
  }
}

interface Prepared {
  readonly statement: StatementSync
  readonly reads: boolean
}

function connectionOf(database: DatabaseSync): DatabaseConnection {
  const statements = new Map<string, Prepared>()
  const prepared = (text: string): Prepared => {
    const known = statements.get(text)
    if (known !== undefined) return known
    if (statements.size >= keptStatements) statements.clear()
    const statement = database.prepare(text)
    const made = { statement, reads: statement.columns().length > 0 }
    statements.set(text, made)
    return made
  }
  return {
    async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      const { statement, reads } = prepared(sql)
      const values = parameters as readonly SQLInputValue[]
      if (reads) return { rows: statement.all(...values) as R[] }
      const { changes } = statement.run(...values)
      return { rows: [], numAffectedRows: BigInt(changes) }
    },
    // biome-ignore lint/correctness/useYield: no query of this package streams
    async *streamQuery() {
      throw new Error('streams are not supported')
    },
  }
}
