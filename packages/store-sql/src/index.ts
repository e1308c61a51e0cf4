export { sqlErrors } from './sql-errors.ts'
export { type SqlStoreOptions, sqlStore } from './sql-store.ts'
