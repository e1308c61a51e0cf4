import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadSqlite, lockFile } from '@reflash/core'
import { describe, expect, it, onTestFinished, vi } from 'vitest'

function lockPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'file-lock-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'lock')
}

/** What another process makes of the lock. */
function elsewhere(path: string): string {
  const program = `import { lockFile } from '@reflash/core'; console.log(lockFile(${JSON.stringify(path)}) === undefined ? 'taken' : 'free')`
  const args = ['--conditions=@reflash/source', '--input-type=module', '--eval', program]
  return execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}

describe('lockFile', () => {
  it('is had by one call of one process at a time, until it is released', () => {
    const path = lockPath()
    const lock = lockFile(path)
    expect(lock).toBeDefined()
    expect(lockFile(path)).toBeUndefined()
    expect(elsewhere(path)).toBe('taken')
    lock?.release()
    expect(elsewhere(path)).toBe('free')
    lockFile(path)?.release()
  })

  it('is free again when the process that had it has died', () => {
    const path = lockPath()
    expect(elsewhere(path)).toBe('free')
    expect(lockFile(path)).toBeDefined()
  })

  it('makes a file that only its owner can read', () => {
    const path = lockPath()
    lockFile(path)
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })
})

describe('loadSqlite', () => {
  it('keeps the warning of the runtime from users, and no other', () => {
    const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => emitted.mockRestore())
    const getBuiltinModule = vi.spyOn(process, 'getBuiltinModule').mockImplementation(() => {
      process.emitWarning('SQLite is an experimental feature', 'ExperimentalWarning')
      process.emitWarning('something else', 'ExperimentalWarning')
      return {}
    })
    onTestFinished(() => getBuiltinModule.mockRestore())
    loadSqlite()
    expect(emitted.mock.calls).toEqual([['something else', 'ExperimentalWarning']])
  })

  it('says so where the runtime has none', () => {
    const getBuiltinModule = vi.spyOn(process, 'getBuiltinModule').mockImplementation(() => undefined)
    onTestFinished(() => getBuiltinModule.mockRestore())
    const before = process.emitWarning
    expect(() => loadSqlite()).toThrow(expect.objectContaining({ code: 'SQLITE_MISSING', fault: 'unsupported' }))
    expect(process.emitWarning).toBe(before)
  })
})
