import type { DatabaseSync } from 'node:sqlite'
import { fail } from '../core-errors.ts'

/**
 * Returns the runtime's own SQLite, at the first use of which Node 22 prints no warning.
 * @throws `SQLITE_MISSING`
 */
export function loadSqlite(): { readonly DatabaseSync: typeof DatabaseSync } {
  // Node 22 prints an ExperimentalWarning when the module loads, which would reach the user of every command. The load is one synchronous
  // call, so that no other warning can be lost while this stands in.
  const { emitWarning } = process
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    const aboutSqlite = rest[0] === 'ExperimentalWarning' && String(warning).includes('SQLite')
    if (!aboutSqlite) Reflect.apply(emitWarning, process, [warning, ...rest])
  }) as typeof process.emitWarning
  try {
    const sqlite = process.getBuiltinModule('node:sqlite') as typeof import('node:sqlite') | undefined
    if (sqlite === undefined) throw fail('SQLITE_MISSING', `expected node:sqlite in the runtime, found none in Node ${process.version}`)
    return sqlite
  } finally {
    process.emitWarning = emitWarning
  }
}
