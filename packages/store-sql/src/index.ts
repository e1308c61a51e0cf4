export { sqlErrors } from './sql-errors.ts'
export { sqlFleet } from './sql-fleet.ts'
export type { PostgresOptions, SqliteOptions, SqlOptions } from './sql-options.ts'
export { type SqlStoreOptions, sqlStore } from './sql-store.ts'
