import {
  aborted,
  type CallOptions,
  checkJournalKey,
  checkJournalPrefix,
  coreError,
  type Journal,
  journalExpiry,
  journalText,
} from '@reflash/core'
import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import { connect } from './connect.ts'
import type { PostgresOptions } from './sql-options.ts'
import { afterEveryKey, firstCharacter, keysPerRead, parseValue, storedKey } from './stored-entry.ts'
import type { Tables } from './tables.ts'
import { versionNumber } from './version-number.ts'

/** Expired entries go with every so many writes ... */
const prunedEvery = 16
/** ... at least twice as many as were added meanwhile, so that the table cannot grow by expired entries alone. */
const prunedAtOnce = 2 * prunedEvery

/** A journal in PostgreSQL. Each change is one statement, whose condition is the compare-and-set. */
export function postgresJournal(options: PostgresOptions, now: () => Date): Journal {
  const { read, close } = connect(options, 'journal')
  const shown = 'the database'
  const nextVersion = sql<number>`nextval('entry_version')`
  let writes = 0

  const live = (eb: ExpressionBuilder<Tables, 'entry'>): Expression<SqlBool> =>
    eb.or([eb('entry.expires', 'is', null), eb('entry.expires', '>', now().getTime())])

  async function put(key: string, value: string, expires: number | null, ifVersion: string | null, signal: CallOptions['signal']) {
    return read(signal, async (db) => {
      if (ifVersion === null) {
        return db
          .insertInto('entry')
          .values({ key, value, version: nextVersion, expires })
          .onConflict((oc) =>
            oc.column('key').doUpdateSet({ value, version: nextVersion, expires }).where('entry.expires', '<=', now().getTime()),
          )
          .returning('version')
          .executeTakeFirst()
      }
      return db
        .updateTable('entry')
        .set({ value, version: nextVersion, expires })
        .where('key', '=', key)
        .where('version', '=', versionNumber(ifVersion))
        .where(live)
        .returning('version')
        .executeTakeFirst()
    })
  }

  function conflict(key: string, expected: string | null): Error {
    return coreError(
      'JOURNAL_CONFLICT',
      `journal entry ${JSON.stringify(key)}: expected version ${expected}, found another; read it again`,
      {
        details: { key },
      },
    )
  }

  async function pruned(): Promise<void> {
    writes += 1
    if (writes % prunedEvery !== 0) return
    // What another replica is pruning is left to it. Nobody waits for this, and the next one does what it could not.
    await read(undefined, (db) =>
      sql`DELETE FROM entry WHERE id IN (SELECT id FROM entry WHERE expires <= ${now().getTime()} ORDER BY expires LIMIT ${prunedAtOnce} FOR UPDATE SKIP LOCKED)`.execute(
        db,
      ),
    ).catch(() => undefined)
  }

  return Object.freeze<Journal>({
    kind: 'journal',
    name: 'postgres',
    spec: 0,
    async get(key, { signal } = {}) {
      checkJournalKey(key)
      const row = await left(
        signal,
        read(signal, (db) => db.selectFrom('entry').select(['value', 'version']).where('key', '=', key).where(live).executeTakeFirst()),
      )
      return row && { value: parseValue(row.value, shown), version: String(row.version) }
    },
    async put(key, value, { ifVersion, expires, signal }) {
      checkJournalKey(key)
      // Not let go once it is sent: whoever is told that it was aborted must find what came of it.
      const row = await put(key, journalText(value), journalExpiry(expires) ?? null, ifVersion, signal)
      if (row === undefined) throw conflict(key, ifVersion)
      await pruned()
      return String(row.version)
    },
    async delete(key, { ifVersion, signal }) {
      checkJournalKey(key)
      const removed = await read(signal, (db) =>
        db.deleteFrom('entry').where('key', '=', key).where('version', '=', versionNumber(ifVersion)).where(live).executeTakeFirst(),
      )
      if (removed.numDeletedRows !== 1n) throw conflict(key, ifVersion)
    },
    async *list(prefix, { signal } = {}) {
      checkJournalPrefix(prefix)
      for (let from = prefix; ; ) {
        const page = await left(
          signal,
          read(signal, (db) =>
            db
              .selectFrom('entry')
              .select('key')
              .where('key', '>=', from)
              .where('key', '<', prefix + afterEveryKey)
              .where(live)
              .orderBy('key')
              .limit(keysPerRead)
              .execute(),
          ),
        )
        for (const { key } of page) {
          if (signal?.aborted === true) throw aborted(signal)
          yield storedKey(key, shown)
        }
        if (page.length < keysPerRead) return
        from = (page[page.length - 1] as { key: string }).key + firstCharacter
      }
    },
    close,
  })
}

/** Lets a caller go when its signal fires; what it asked for goes on. */
function left<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(aborted(signal))
    signal.addEventListener('abort', leave, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}
