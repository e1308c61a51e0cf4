import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { loadSqlite } from '@reflash/core'
import { expect, onTestFinished, test } from 'vitest'
import { checkSchema, migrateSqlite } from '../src/sqlite-schema.ts'
import { temporaryFolder } from './temporary-folder.ts'

test('a file that another process makes a journal of while it is looked at is none of another program', () => {
  const file = join(temporaryFolder(), 'journal.db')
  const { DatabaseSync } = loadSqlite()
  const [database, other] = [new DatabaseSync(file), new DatabaseSync(file)]
  onTestFinished(() => {
    database.close()
    other.close()
  })
  other.exec('PRAGMA journal_mode = WAL')
  // After the ids in its header were read, and before it was seen whether there is anything in it.
  const overtaken = new Proxy(database, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...given: readonly unknown[]) => {
        if (name === 'prepare' && String(given[0]).includes('sqlite_schema')) migrateSqlite(other)
        return Reflect.apply(value, target, given)
      }
    },
  }) as DatabaseSync
  checkSchema(overtaken, file)
  expect(database.isTransaction).toBe(false)
  checkSchema(database, file)
})
