import { describe, expect, it } from 'vitest'
import { manualClock, memoryJournal } from '../../src/testing/index.ts'

const conflict = { code: 'JOURNAL_CONFLICT', fault: 'unavailable' }

async function keys(journal: ReturnType<typeof memoryJournal>, prefix = ''): Promise<string[]> {
  const found: string[] = []
  for await (const key of journal.list(prefix)) found.push(key)
  return found
}

describe('memoryJournal', () => {
  it('gives back what was stored, as a copy that nobody shares', async () => {
    const journal = memoryJournal()
    const value = { a: [1, { b: null }] }
    const version = await journal.put('k', value, { ifVersion: null })
    value.a.push(2)
    const first = await journal.get('k')
    expect(first).toEqual({ value: { a: [1, { b: null }] }, version })
    ;(first as unknown as { value: { a: unknown[] } }).value.a.length = 0
    expect((await journal.get('k'))?.value).toEqual({ a: [1, { b: null }] })
    expect(await journal.get('other')).toBeUndefined()
  })

  it('refuses a write whose version is not the present one', async () => {
    const journal = memoryJournal()
    await expect(journal.put('k', 1, { ifVersion: 'x' })).rejects.toMatchObject(conflict)
    const first = await journal.put('k', 1, { ifVersion: null })
    await expect(journal.put('k', 2, { ifVersion: null })).rejects.toMatchObject(conflict)
    const second = await journal.put('k', 2, { ifVersion: first })
    await expect(journal.put('k', 3, { ifVersion: first })).rejects.toMatchObject(conflict)
    await expect(journal.delete('k', { ifVersion: first })).rejects.toMatchObject(conflict)
    expect((await journal.get('k'))?.value).toBe(2)
    await journal.delete('k', { ifVersion: second })
    await expect(journal.delete('k', { ifVersion: second })).rejects.toMatchObject(conflict)
  })

  it('never uses a version twice, so that a deleted and recreated entry is not taken for the old one', async () => {
    const journal = memoryJournal()
    const old = await journal.put('k', 1, { ifVersion: null })
    await journal.delete('k', { ifVersion: old })
    expect(await journal.put('k', 1, { ifVersion: null })).not.toBe(old)
    await expect(journal.put('k', 2, { ifVersion: old })).rejects.toMatchObject(conflict)
  })

  it('lets exactly one of many concurrent writers win', async () => {
    const journal = memoryJournal()
    const won = await Promise.allSettled(Array.from({ length: 50 }, (_, index) => journal.put('k', index, { ifVersion: null })))
    expect(won.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('forgets an entry at the moment it expires', async () => {
    const clock = manualClock()
    const journal = memoryJournal({ now: clock.now })
    const version = await journal.put('k', 1, { ifVersion: null, expires: new Date(clock.now().getTime() + 1000) })
    clock.advance(999)
    expect((await journal.get('k'))?.value).toBe(1)
    clock.advance(1)
    expect(await journal.get('k')).toBeUndefined()
    expect(await keys(journal)).toEqual([])
    await expect(journal.put('k', 2, { ifVersion: version })).rejects.toMatchObject(conflict)
    await journal.put('k', 2, { ifVersion: null })
  })

  it('lists live keys by prefix in code unit order', async () => {
    const journal = memoryJournal()
    for (const key of ['p/b', 'p/~', 'p/Z', 'q/a', 'p/a', 'p/ ', 'p/a/1']) await journal.put(key, 1, { ifVersion: null })
    expect(await keys(journal, 'p/')).toEqual(['p/ ', 'p/Z', 'p/a', 'p/a/1', 'p/b', 'p/~'])
    expect(await keys(journal, 'q')).toEqual(['q/a'])
  })

  it('keeps keys that JavaScript objects treat in their own way', async () => {
    const journal = memoryJournal()
    for (const key of ['__proto__', 'constructor']) {
      expect(await journal.get(key)).toBeUndefined()
      await journal.put(key, key, { ifVersion: null })
      expect((await journal.get(key))?.value).toBe(key)
    }
  })

  it('honours an aborted signal before anything is changed', async () => {
    const journal = memoryJournal()
    const signal = AbortSignal.abort()
    await expect(journal.put('k', 1, { ifVersion: null, signal })).rejects.toMatchObject({ code: 'ABORTED', fault: 'aborted' })
    await expect(journal.get('k', { signal })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await journal.get('k')).toBeUndefined()
  })
})
