import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Journal } from '@reflash/core'
import { loadSqlite } from '@reflash/core'
import { manualClock } from '@reflash/core/testing'
import { type SqlStoreOptions, sqlStore } from '@reflash/store-sql'
import { describe, expect, it, onTestFinished } from 'vitest'
import { temporaryFolder } from './temporary-folder.ts'

const conflict = { code: 'JOURNAL_CONFLICT', fault: 'unavailable' }

function store(options: Partial<SqlStoreOptions> = {}): Journal {
  const journal = sqlStore({ file: join(temporaryFolder(), 'journal.db'), ...options })
  onTestFinished(() => journal.close?.())
  return journal
}

async function keys(journal: Journal, prefix = ''): Promise<string[]> {
  return await Array.fromAsync(journal.list(prefix))
}

describe('sqlStore', () => {
  it('does nothing until its first call, then makes file and folder for their owner only', async () => {
    const file = join(temporaryFolder(), 'state', 'journal.db')
    const journal = store({ file })
    expect(existsSync(file)).toBe(false)
    expect(await journal.get('k')).toBeUndefined()
    await journal.put('k', 1, { ifVersion: null })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(`${file}-wal`).mode & 0o777).toBe(0o600)
    expect(statSync(join(file, '..')).mode & 0o777).toBe(0o700)
  })

  it.each([{ file: '' }, { file: ':memory:' }, { file: 'a\0b' }, { file: 5 as never }, { synchronous: 'off' as never }])(
    'refuses the options %j at once',
    (options) => {
      expect(() => sqlStore({ file: 'j.db', ...options })).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS', fault: 'invalid' }))
    },
  )

  it('keeps every kind of JSON, across a restart', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    const value = { text: 'a\0b\ud800\u{1f600}', number: -1.5e-7, list: [null, true, []], ['__proto__']: { x: 1 } }
    const first = store({ file })
    const version = await first.put('k', value, { ifVersion: null })
    await first.close?.()
    expect(await store({ file }).get('k')).toEqual({ value, version })
  })

  it('stores a value as it was at the call', async () => {
    const journal = store()
    const value = { n: 1 }
    const put = journal.put('k', value, { ifVersion: null })
    value.n = 2
    await put
    expect((await journal.get('k'))?.value).toEqual({ n: 1 })
  })

  it('never gives a version twice, not even after a deletion and a restart', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    const first = store({ file })
    const old = await first.put('k', 1, { ifVersion: null })
    await first.delete('k', { ifVersion: old })
    await first.close?.()
    const journal = store({ file })
    expect(await journal.put('k', 1, { ifVersion: null })).not.toBe(old)
    await expect(journal.put('k', 2, { ifVersion: old })).rejects.toMatchObject(conflict)
    await expect(journal.delete('k', { ifVersion: old })).rejects.toMatchObject(conflict)
  })

  it('judges the changes of one turn in their order: one of fifty writers wins, and the others do not spoil its commit', async () => {
    const journal = store()
    const results = await Promise.allSettled(Array.from({ length: 50 }, (_, index) => journal.put('k', index, { ifVersion: null })))
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', ...Array<string>(49).fill('rejected')])
    expect((await journal.get('k'))?.value).toBe(0)
  })

  it('commits a thousand changes of one turn', async () => {
    const journal = store()
    await Promise.all(Array.from({ length: 1000 }, (_, index) => journal.put(`k/${index}`, index, { ifVersion: null })))
    expect(await keys(journal)).toHaveLength(1000)
  })

  it('refuses changes beyond its queue instead of filling memory', async () => {
    const journal = store({ synchronous: 'normal' })
    const results = await Promise.allSettled(
      Array.from({ length: 16_385 }, (_, index) => journal.put(`k/${index}`, 1, { ifVersion: null })),
    )
    const refused = results.filter(({ status }) => status === 'rejected')
    expect(refused).toEqual([{ status: 'rejected', reason: expect.objectContaining({ code: 'JOURNAL_UNAVAILABLE' }) }])
  })

  it('forgets an entry at the moment it expires, by the given clock', async () => {
    const clock = manualClock()
    const journal = store({ now: clock.now })
    const version = await journal.put('k', 1, { ifVersion: null, expires: new Date(clock.now().getTime() + 1000) })
    clock.advance(999)
    expect((await journal.get('k'))?.value).toBe(1)
    expect(await keys(journal)).toEqual(['k'])
    clock.advance(1)
    expect(await journal.get('k')).toBeUndefined()
    expect(await keys(journal)).toEqual([])
    await expect(journal.put('k', 2, { ifVersion: version })).rejects.toMatchObject(conflict)
    await expect(journal.delete('k', { ifVersion: version })).rejects.toMatchObject(conflict)
    await journal.put('k', 2, { ifVersion: null })
    clock.advance(1e9)
    expect((await journal.get('k'))?.value).toBe(2)
  })

  it('prunes expired entries faster than they are made, a bounded number at a time', async () => {
    const clock = manualClock()
    const file = join(temporaryFolder(), 'journal.db')
    const journal = store({ file, now: clock.now })
    const expires = new Date(clock.now().getTime() + 1)
    await Promise.all(Array.from({ length: 200 }, (_, index) => journal.put(`nonce/${index}`, 1, { ifVersion: null, expires })))
    clock.advance(1)
    await journal.put('a', 1, { ifVersion: null })
    expect(await rows(file)).toBe(200 + 1 - 16)
    for (let round = 0; round < 12; round++) await journal.put(`b/${round}`, 1, { ifVersion: null })
    expect(await rows(file)).toBe(13)
  })

  it('lists live keys by prefix in code unit order, also beyond one page', async () => {
    const journal = store()
    const names = Array.from({ length: 600 }, (_, index) => `q/${index}`)
    for (const key of ['p/b', 'p', 'p/~', 'p/Z', 'p/a', 'p/ ', 'p/%_', 'P/a', 'p0']) await journal.put(key, 1, { ifVersion: null })
    await Promise.all(names.map((key) => journal.put(key, 1, { ifVersion: null })))
    expect(await keys(journal, 'p/')).toEqual(['p/ ', 'p/%_', 'p/Z', 'p/a', 'p/b', 'p/~'])
    expect(await keys(journal, 'p')).toEqual(['p', 'p/ ', 'p/%_', 'p/Z', 'p/a', 'p/b', 'p/~', 'p0'])
    expect(await keys(journal, 'q/')).toEqual(names.sort())
  })

  it('can be changed while it is listed', async () => {
    const journal = store()
    await Promise.all(Array.from({ length: 600 }, (_, index) => journal.put(`k/${index}`, 1, { ifVersion: null })))
    for await (const key of journal.list('k/')) {
      const entry = await journal.get(key)
      await journal.delete(key, { ifVersion: entry!.version })
    }
    expect(await keys(journal)).toEqual([])
  })

  it('refuses keys, values and prefixes outside the grammar of journals', async () => {
    const journal = store()
    await expect(journal.get('é')).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await expect(journal.put('', 1, { ifVersion: null })).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await expect(journal.delete('\n', { ifVersion: '1' })).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await expect(keys(journal, 'é')).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await expect(journal.put('k', undefined as never, { ifVersion: null })).rejects.toMatchObject({ code: 'INVALID_VALUE' })
    await expect(journal.put('k', 'x'.repeat(1024 * 1024), { ifVersion: null })).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(await keys(journal)).toEqual([])
  })

  it('does nothing for a caller who has cancelled, and lets one go who cancels while waiting', async () => {
    const journal = store()
    const fired = AbortSignal.abort(new Error('gone'))
    const aborted = { code: 'ABORTED', fault: 'aborted' }
    await expect(journal.get('k', { signal: fired })).rejects.toMatchObject(aborted)
    await expect(journal.put('k', 1, { ifVersion: null, signal: fired })).rejects.toMatchObject(aborted)
    await expect(journal.delete('k', { ifVersion: '1', signal: fired })).rejects.toMatchObject(aborted)
    await expect(Array.fromAsync(journal.list('', { signal: fired }))).rejects.toMatchObject(aborted)
    const controller = new AbortController()
    const put = journal.put('k', 1, { ifVersion: null, signal: controller.signal })
    const other = journal.put('other', 1, { ifVersion: null, signal: controller.signal })
    const neighbour = journal.put('neighbour', 1, { ifVersion: null })
    controller.abort(new Error('gone'))
    await expect(put).rejects.toMatchObject({ ...aborted, cause: new Error('gone') })
    await expect(other).rejects.toMatchObject(aborted)
    await neighbour
    expect(await keys(journal)).toEqual(['neighbour'])
  })

  it('finishes what was asked before close, then refuses, and closes twice without harm', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    const journal = store({ file })
    const put = journal.put('k', 1, { ifVersion: null })
    const closing = journal.close?.()
    await expect(journal.get('k')).rejects.toMatchObject({ code: 'JOURNAL_CLOSED', fault: 'invalid' })
    await expect(journal.put('k', 1, { ifVersion: null })).rejects.toMatchObject({ code: 'JOURNAL_CLOSED' })
    await expect(keys(journal)).rejects.toMatchObject({ code: 'JOURNAL_CLOSED' })
    await put
    await closing
    await journal.close?.()
    expect(existsSync(`${file}-wal`)).toBe(false)
    expect((await store({ file }).get('k'))?.value).toBe(1)
  })

  it('closes without having been called, and leaves no file', async () => {
    const file = join(temporaryFolder(), 'journal.db')
    await sqlStore({ file }).close?.()
    expect(existsSync(file)).toBe(false)
  })

  it('is a frozen plain object, whatever its caller does with the options afterwards', async () => {
    const options = { file: join(temporaryFolder(), 'journal.db') }
    const journal = store(options)
    const file = options.file
    options.file = '/nowhere/else'
    await journal.put('k', 1, { ifVersion: null })
    expect(Object.isFrozen(journal) && Object.getPrototypeOf(journal) === Object.prototype).toBe(true)
    expect(readFileSync(file).subarray(0, 15).toString()).toBe('SQLite format 3')
  })
})

async function rows(file: string): Promise<unknown> {
  const { DatabaseSync } = loadSqlite()
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    return database.prepare('SELECT count(*) AS n FROM entry').get()?.n
  } finally {
    database.close()
  }
}
