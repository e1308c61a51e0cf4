import { type CallOptions, coreError, isOtaError, type OtaError, throwIfAborted } from '@reflash/core'
import { Kysely, type Transaction } from 'kysely'
import { journalFailure } from './journal-failure.ts'
import { openSqlite } from './open-database.ts'
import { isPassing, postgresDialect, postgresFailure } from './postgres.ts'
import { fail } from './sql-errors.ts'
import { checkSqlOptions, type SqlOptions } from './sql-options.ts'
import { sqliteKysely } from './sqlite-dialect.ts'
import type { Tables } from './tables.ts'

/** A database for one plugin: opened at the first call, closed with it; every error is a coded one. */
export interface SqlConnection {
  readonly name: 'sqlite' | 'postgres'
  /** One look. */
  read<T>(signal: CallOptions['signal'], work: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /** One transaction, begun anew where the database broke it off because of others. */
  write<T>(signal: CallOptions['signal'], work: (trx: Transaction<Tables>) => Promise<T>): Promise<T>
  /** The rows of a query, kept from other transactions until the end of this one. SQLite keeps the whole file from them anyway. */
  locked<Q extends { forUpdate(): Q }>(query: Q): Q
  close(): Promise<void>
}

/** Transactions that others broke off are begun anew so often. */
const transactionRounds = 8

/** @throws `INVALID_OPTIONS` */
export function connect(options: SqlOptions, kind: 'fleet' | 'journal'): SqlConnection {
  const checked = checkSqlOptions(kind === 'fleet' ? 'sqlFleet' : 'sqlStore', options)
  const isPostgres = 'url' in checked
  const shown = isPostgres ? checked.shown : checked.file
  const dialect = isPostgres ? postgresDialect(checked) : sqliteKysely(() => openSqlite(checked.file, checked.synchronous))
  const db = new Kysely<Tables>({ dialect, log: [] })
  const running = new Set<Promise<unknown>>()
  let closing: Promise<void> | undefined

  function failure(error: unknown): OtaError {
    const told = isOtaError(error) ? error : isPostgres ? postgresFailure(error, shown) : journalFailure(error, shown)
    if (kind === 'journal' || told.code !== 'JOURNAL_UNAVAILABLE') return told
    return coreError('FLEET_UNAVAILABLE', told.message, { cause: told.cause, details: told.details })
  }

  async function call<T>(signal: CallOptions['signal'], work: () => Promise<T>): Promise<T> {
    if (closing !== undefined) {
      const code = kind === 'fleet' ? 'FLEET_CLOSED' : 'JOURNAL_CLOSED'
      throw fail(code, `${shown}: the ${kind} is closed; close it after everything that uses it`)
    }
    throwIfAborted(signal)
    const run = work()
    running.add(run)
    try {
      return await run
    } catch (error) {
      throw failure(error)
    } finally {
      running.delete(run)
    }
  }

  async function transaction<T>(signal: CallOptions['signal'], work: (trx: Transaction<Tables>) => Promise<T>): Promise<T> {
    for (let round = 1; ; round++) {
      try {
        return await db.transaction().execute(async (trx) => {
          throwIfAborted(signal)
          return work(trx)
        })
      } catch (error) {
        if (!isPostgres || !isPassing(error) || round === transactionRounds) throw error
      }
    }
  }

  return {
    name: isPostgres ? 'postgres' : 'sqlite',
    read: (signal, work) => call(signal, () => work(db)),
    write: (signal, work) => call(signal, () => transaction(signal, work)),
    locked: (query) => (isPostgres ? query.forUpdate() : query),
    close() {
      closing ??= (async () => {
        await Promise.allSettled(running)
        await db.destroy()
      })()
      return closing
    },
  }
}
