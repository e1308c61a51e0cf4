/** What the two databases name differently. */
interface Dialect {
  /** A whole number of 64 bits. */
  readonly integer: string
  /** Text that is ordered and compared by its bytes. */
  readonly text: string
  /** A key that the database counts up. */
  readonly counted: string
  /** What follows a table. */
  readonly end: string
  /** Where versions of entries come from, beside the table `sequence`. */
  readonly versions: string
}

export const sqliteDialect: Dialect = {
  integer: 'INTEGER',
  text: 'TEXT',
  counted: 'INTEGER PRIMARY KEY',
  end: ' STRICT',
  versions: '',
}

// A database's own collation would order keys by the words of a country.
export const postgresDialect: Dialect = {
  integer: 'BIGINT',
  text: 'TEXT COLLATE "C"',
  counted: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
  end: '',
  versions: 'CREATE SEQUENCE entry_version;',
}

/**
 * Forward-only steps: step i leads from schema i to i + 1, and the number of steps is the schema that this version writes. A published step is
 * never edited. Times of the fleet are ISO 8601, lists and reasons JSON text.
 *
 * | table | row |
 * |---|---|
 * | entry | one per journal key; `value` is JSON text; `version` is never used twice, not even after a deletion; `expires` in milliseconds since 1970, null for never |
 * | sequence | one row, the last version given (SQLite; PostgreSQL has `entry_version` beside it, which does not wait for others) |
 * | device | one per device; `bucket` from 0 to 2^32 - 1 makes a wave a range of the index |
 * | label | one per device and label |
 * | release | what was ever rolled out |
 * | deployment | intent, progress and counters; `version` is that of its progress |
 * | device_update | one device's journey in one deployment |
 * | lease | who drives the deployments; `until` in milliseconds since 1970 |
 * | audit | who did what |
 * | fleet | one row, counted up by every change of labels and progress |
 */
export const steps: readonly ((dialect: Dialect) => string)[] = [
  // An ordinary rowid table, because values may be large.
  ({ integer, text, counted, end, versions }) => `CREATE TABLE entry (
     id ${counted},
     key ${text} NOT NULL UNIQUE,
     value TEXT NOT NULL,
     version ${integer} NOT NULL,
     expires ${integer}
   )${end};
   CREATE INDEX entry_expires ON entry (expires) WHERE expires IS NOT NULL;
   CREATE TABLE sequence (id ${integer} PRIMARY KEY CHECK (id = 0), last ${integer} NOT NULL)${end};
   INSERT INTO sequence VALUES (0, 0);${versions}`,
  ({ integer, text, counted, end }) => `CREATE TABLE device (
     id ${text} PRIMARY KEY,
     model ${text},
     installed ${text},
     bucket ${integer} NOT NULL,
     version ${integer} NOT NULL
   )${end};
   CREATE INDEX device_bucket ON device (bucket, id);
   CREATE TABLE label (
     device ${text} NOT NULL,
     name ${text} NOT NULL,
     value ${text} NOT NULL,
     PRIMARY KEY (device, name)
   )${end};
   CREATE INDEX label_value ON label (name, value, device);
   CREATE TABLE release (
     id ${text} PRIMARY KEY,
     repository ${text} NOT NULL,
     version ${text} NOT NULL,
     digest ${text}
   )${end};
   CREATE TABLE deployment (
     number ${counted},
     id ${text} NOT NULL UNIQUE,
     at ${text} NOT NULL,
     release ${text} NOT NULL,
     selector TEXT NOT NULL,
     waves TEXT NOT NULL,
     success_percent ${text} NOT NULL,
     failure_percent ${text} NOT NULL,
     wave_ms ${integer} NOT NULL,
     proof ${integer} NOT NULL,
     state ${text} NOT NULL,
     wave ${integer} NOT NULL,
     size ${integer} NOT NULL,
     bound ${integer} NOT NULL,
     wave_at ${text},
     forgiven ${integer} NOT NULL,
     because TEXT NOT NULL,
     version ${integer} NOT NULL,
     offered ${integer} NOT NULL DEFAULT 0,
     confirmed ${integer} NOT NULL DEFAULT 0,
     failed ${integer} NOT NULL DEFAULT 0,
     unobserved ${integer} NOT NULL DEFAULT 0,
     skipped ${integer} NOT NULL DEFAULT 0,
     withdrawn ${integer} NOT NULL DEFAULT 0
   )${end};
   CREATE INDEX deployment_state ON deployment (state, number);
   CREATE TABLE device_update (
     deployment ${text} NOT NULL,
     device ${text} NOT NULL,
     wave ${integer} NOT NULL,
     state ${text} NOT NULL,
     attempt ${integer} NOT NULL,
     attested ${integer} NOT NULL,
     at ${text} NOT NULL,
     because TEXT NOT NULL,
     PRIMARY KEY (deployment, device)
   )${end};
   CREATE INDEX device_update_state ON device_update (deployment, state, device);
   CREATE TABLE lease (
     name ${text} PRIMARY KEY,
     holder ${text} NOT NULL,
     token ${integer} NOT NULL,
     until ${integer} NOT NULL
   )${end};
   CREATE TABLE audit (
     id ${counted},
     at ${text} NOT NULL,
     who ${text} NOT NULL,
     action ${text} NOT NULL,
     subject ${text} NOT NULL,
     because TEXT NOT NULL
   )${end};
   CREATE INDEX audit_subject ON audit (subject, id);
   CREATE TABLE fleet (id ${integer} PRIMARY KEY CHECK (id = 0), revision ${integer} NOT NULL)${end};
   INSERT INTO fleet VALUES (0, 0);`,
]

export const schemaVersion = steps.length
