import { chmodSync, copyFileSync, existsSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { loadSqlite } from '@reflash/core'
import { sqlStore } from '@reflash/store-sql'
import { describe, expect, it, onTestFinished } from 'vitest'
import { killedWriter, node, numbersIn, run, script } from './children.ts'
import { temporaryFolder } from './temporary-folder.ts'

describe('the processes of one journal', () => {
  it('loses no acknowledged put when its writer is killed without warning, again and again', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    for (const least of [1, 40, 333]) {
      const copy = `${file}.${least}`
      const acknowledged = await killedWriter(copy, least)
      expect(acknowledged.length).toBeGreaterThanOrEqual(least)
      expect(await numbersIn(copy)).toEqual(expect.arrayContaining(acknowledged))
    }
  })

  it('opens to a prefix of its history when the end of its log is torn off', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    const acknowledged = await killedWriter(file, 60)
    expect(existsSync(`${file}-wal`)).toBe(true)
    const log = readFileSync(`${file}-wal`).byteLength
    for (const keep of [log - 1, Math.floor(log / 2) + 7, 4096 + 31, 31, 0]) {
      const torn = `${file}.${keep}`
      copyFileSync(file, torn)
      copyFileSync(`${file}-wal`, `${torn}-wal`)
      truncateSync(`${torn}-wal`, keep)
      const found = (await numbersIn(torn)).sort((a, b) => a - b)
      expect(found).toEqual(found.map((_, index) => index))
      expect(found.length).toBeLessThanOrEqual(acknowledged.length + 16)
    }
  })

  it('lets two processes count up together without losing a step', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    const counting = [...node, script('count-up'), file, '150']
    const conflicts = await Promise.all([run(counting), run(counting)])
    const journal = sqlStore({ file })
    onTestFinished(() => journal.close?.())
    expect((await journal.get('counter'))?.value).toBe(300)
    expect(conflicts.every((count) => Number(count) >= 0)).toBe(true)
  })

  it.runIf(process.platform === 'linux')('may be opened twice in one process, which keeps the lock on it', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    const [first, second] = [sqlStore({ file }), sqlStore({ file })]
    onTestFinished(() => first.close?.())
    onTestFinished(() => second.close?.())
    await first.put('k', 1, { ifVersion: null })
    expect((await second.get('k'))?.value).toBe(1)
    // Closing any descriptor of a file drops the POSIX locks that the process has on it.
    expect(readFileSync('/proc/locks', 'utf8')).toContain(`:${statSync(file).ino} `)
  })

  it('waits for the lock of another process without stopping the event loop', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    const journal = sqlStore({ file })
    onTestFinished(() => journal.close?.())
    const version = await journal.put('k', 1, { ifVersion: null })
    const { DatabaseSync } = loadSqlite()
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    let done = false
    const put = journal.put('k', 2, { ifVersion: version }).finally(() => {
      done = true
    })
    for (let turns = 0; turns < 200; turns++) await new Promise((next) => setImmediate(next))
    expect(done).toBe(false)
    expect((await journal.get('k'))?.value).toBe(1)
    other.close()
    await put
    expect((await journal.get('k'))?.value).toBe(2)
  })

  it('refuses as unavailable on a full disk, keeps what it has acknowledged, and can still be read', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    const command = ['bash', '-c', 'ulimit -f 2048; exec "$0" "$@"', ...node, script('fill-disk'), file]
    const { written, read, code } = JSON.parse(await run(command))
    expect(code).toBe('JOURNAL_UNAVAILABLE')
    expect(written).toBeGreaterThan(1)
    expect(read).toBe(written)
  })

  it('refuses as unavailable where it may not write, also after the file was made', async () => {
    const folder = temporaryFolder()
    const file = join(folder, 'journal.db')
    const journal = sqlStore({ file })
    await journal.put('k', 1, { ifVersion: null })
    await journal.close?.()
    chmodSync(folder, 0o555)
    chmodSync(file, 0o444)
    expect(await run([...node, script('put-as'), file])).toBe('JOURNAL_UNAVAILABLE')
    expect(await run([...node, script('put-as'), join(folder, 'new', 'journal.db')])).toBe('JOURNAL_UNAVAILABLE')
  })

  it('prints no warning of the runtime', async () => {
    expect(await run([...node, script('count-up'), join(temporaryFolder(), 'journal.db'), '1'])).toBe('0')
  })
})
