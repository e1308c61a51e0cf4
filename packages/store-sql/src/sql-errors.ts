import { errorsOf } from '@reflash/core'

/** Every code that this package throws beside core's. docs/errors.md is generated from this table. */
export const sqlErrors = {
  NOT_A_JOURNAL: {
    fault: 'invalid',
    means: 'The file is not a database, or a database of another program.',
    next: 'Name another file; this one was not touched.',
  },
  JOURNAL_TOO_NEW: {
    fault: 'unsupported',
    means: 'A newer version of this package has written the file.',
    next: 'Update @reflash/store-sql, or restore the copy that was made before the update; the file was not touched.',
  },
  JOURNAL_CORRUPT: {
    fault: 'invalid',
    means: 'The database is damaged.',
    next: 'Stop the server, keep the file and its -wal beside it for inspection, and restore a copy or start with a new file.',
  },
  JOURNAL_CLOSED: {
    fault: 'invalid',
    means: 'The journal was called after it was closed.',
    next: 'Close the journal last, after everything that uses it.',
  },
  FLEET_CLOSED: {
    fault: 'invalid',
    means: 'The fleet store was called after it was closed.',
    next: 'Close the fleet store last, after everything that uses it.',
  },
} as const

export const fail = errorsOf(sqlErrors)
