import { join } from 'node:path'
import type { SqlOptions } from '@reflash/store-sql'
import { fail } from '../cli-errors.ts'

/**
 * Where journal and fleet live: the path of a SQLite file, or postgres://user@host/database.
 * @throws `USAGE` where a password is in it: other users of the machine can see a command line
 */
export function storeOption(store: string | undefined, state: string): SqlOptions {
  if (store === undefined) return { file: join(state, 'journal.db') }
  if (!/^postgres(?:ql)?:/.test(store)) return { file: store }
  const url = URL.parse(store)
  if (url === null) throw fail('USAGE', '--store: expected a path or postgres://user@host:port/database, found something else')
  if (url.password !== '' || url.searchParams.has('password')) {
    throw fail('USAGE', '--store: expected the password in PGPASSWORD or ~/.pgpass, found one in the URL, which others can see')
  }
  return { url: store }
}
