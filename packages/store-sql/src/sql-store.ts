import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import {
  aborted,
  checkJournalKey,
  checkJournalPrefix,
  coreError,
  type Journal,
  journalExpiry,
  journalText,
  throwIfAborted,
} from '@reflash/core'
import { isBusy, journalFailure } from './journal-failure.ts'
import { type Change, type Database, openDatabase } from './open-database.ts'
import { postgresJournal } from './postgres-journal.ts'
import { fail } from './sql-errors.ts'
import { type CheckedSqlite, checkSqlite, type SqlOptions } from './sql-options.ts'
import { afterEveryKey, firstCharacter, keysPerRead, parseValue, storedKey } from './stored-entry.ts'

export type SqlStoreOptions = SqlOptions & {
  /** The clock that expiry is judged by; the system's where absent. */
  readonly now?: () => Date
}

/** A change that waits for its commit. */
interface Waiting {
  readonly change: Change
  settle: ((outcome: { readonly version: string } | { readonly error: unknown }) => void) | undefined
}

// Another process may hold the lock for one commit; a disk that stalls for longer is a failure to report.
const patienceMs = 5_000
const retryPauseMs = 3
// One transaction holds the event loop: 256 small changes take about 2 ms.
const changesPerCommit = 256
const bytesPerCommit = 1024 * 1024
// Whoever writes faster than the disk takes it must hear of it before memory fills.
const changesWaiting = 16_384

/**
 * Makes a journal in one SQLite file (WAL mode, the runtime's own `node:sqlite`) that several processes of one machine may share, or in
 * PostgreSQL, which replicas on several machines share.
 * @throws `INVALID_OPTIONS`; its methods `JOURNAL_CONFLICT`, `JOURNAL_UNAVAILABLE`, `JOURNAL_CLOSED`, `JOURNAL_CORRUPT`, `JOURNAL_TOO_NEW`,
 * `NOT_A_JOURNAL`, `SQLITE_MISSING`, `INVALID_KEY`, `INVALID_VALUE`, `TOO_LARGE`, `ABORTED`
 */
export function sqlStore(options: SqlStoreOptions): Journal {
  const { now = () => new Date() } = options
  if ('url' in options) return postgresJournal(options, now)
  return sqliteJournal(checkSqlite('sqlStore', options), now)
}

/** Changes of one turn of the event loop are committed together, so that many writers share one wait for the disk. */
function sqliteJournal({ file, synchronous }: CheckedSqlite, now: () => Date): Journal {
  let database: Database | undefined
  let closing: Promise<void> | undefined
  let closed = false
  let flushing: Promise<void> | undefined
  let queue: Waiting[] = []

  function checkOpen(isClosed = closing !== undefined): void {
    if (isClosed) throw fail('JOURNAL_CLOSED', `${file}: the journal is closed; close it after everything that uses it`)
  }

  async function attempt<T>(work: (database: Database) => T, signal?: AbortSignal): Promise<T> {
    for (const giveUpAt = performance.now() + patienceMs; ; ) {
      checkOpen(closed)
      try {
        database ??= openDatabase(file, synchronous)
        return work(database)
      } catch (error) {
        if (!isBusy(error) || performance.now() >= giveUpAt) throw journalFailure(error, file)
      }
      // The pause is kept short and whole when the signal fires: what follows then says so.
      await pause(retryPauseMs)
      throwIfAborted(signal)
    }
  }

  async function flush(): Promise<void> {
    // Puts of every socket that is read in this turn come together before the disk is asked.
    await nextTurn()
    while (queue.length > 0) {
      await commit(nextBatch())
      if (queue.length > 0) await nextTurn()
    }
    flushing = undefined
  }

  function nextBatch(): readonly Waiting[] {
    let length = 0
    for (let bytes = 0; length < queue.length && length < changesPerCommit && bytes < bytesPerCommit; length++) {
      bytes += queue[length]?.change.text?.length ?? 0
    }
    const batch = queue.slice(0, length)
    queue = queue.slice(length)
    return batch
  }

  async function commit(batch: readonly Waiting[]): Promise<void> {
    let pending: readonly Waiting[] = batch
    try {
      const outcomes = await attempt((open) => {
        pending = batch.filter(({ settle }) => settle !== undefined)
        const changes = pending.map(({ change }) => change)
        return changes.length === 0 ? [] : open.commit(changes, now().getTime())
      })
      for (const [index, { change, settle }] of pending.entries()) {
        const outcome = outcomes[index]!
        settle?.('version' in outcome ? outcome : { error: conflict(change, outcome.found) })
      }
    } catch (error) {
      // Also a conflict is not certain then: it may have been with a change of the same, failed transaction.
      for (const { settle } of pending) settle?.({ error })
    }
  }

  function write(change: Change, signal: AbortSignal | undefined): Promise<string> {
    throwIfAborted(signal)
    if (queue.length >= changesWaiting) {
      throw coreError('JOURNAL_UNAVAILABLE', `${file}: ${queue.length} changes wait for the disk, which is the limit; write more slowly`)
    }
    return new Promise((fulfil, reject) => {
      const onAbort = () => waiting.settle?.({ error: aborted(signal as AbortSignal) })
      const waiting: Waiting = {
        change,
        settle(outcome) {
          waiting.settle = undefined
          signal?.removeEventListener('abort', onAbort)
          if ('version' in outcome) fulfil(outcome.version)
          else reject(outcome.error)
        },
      }
      signal?.addEventListener('abort', onAbort)
      queue.push(waiting)
      flushing ??= flush()
    })
  }

  return Object.freeze<Journal>({
    kind: 'journal',
    name: 'sqlite',
    spec: 0,
    async get(key, options) {
      checkOpen()
      checkJournalKey(key)
      throwIfAborted(options?.signal)
      const row = await attempt((open) => open.get(key, now().getTime()), options?.signal)
      return row && { value: parseValue(row[0], file), version: String(row[1]) }
    },
    async put(key, value, { ifVersion, expires, signal }) {
      checkOpen()
      checkJournalKey(key)
      return await write({ key, ifVersion, text: journalText(value), expires: journalExpiry(expires) }, signal)
    },
    async delete(key, { ifVersion, signal }) {
      checkOpen()
      checkJournalKey(key)
      await write({ key, ifVersion, text: undefined, expires: undefined }, signal)
    },
    async *list(prefix, options) {
      checkJournalPrefix(prefix)
      const before = prefix + afterEveryKey
      // No read stays open between pages: a slow reader would keep the WAL from being reused.
      for (let from = prefix; ; ) {
        checkOpen()
        throwIfAborted(options?.signal)
        const page = await attempt((open) => open.keys(from, before, now().getTime(), keysPerRead), options?.signal)
        for (const key of page) {
          throwIfAborted(options?.signal)
          yield storedKey(key, file)
        }
        if (page.length < keysPerRead) return
        from = page[page.length - 1]! + firstCharacter
      }
    },
    close() {
      closing ??= (async () => {
        await flushing
        closed = true
        database?.close()
      })()
      return closing
    },
  })
}

function conflict({ key, ifVersion }: Change, found: string | null) {
  return coreError(
    'JOURNAL_CONFLICT',
    `journal entry ${JSON.stringify(key)}: expected version ${ifVersion}, found ${found}; read it again`,
    {
      details: { key },
    },
  )
}
