import { describe, expect, test } from 'vitest'
import { batches, type Outcome } from '../src/batches.ts'

/** Batches that wait until they are let go, each question answered with itself; "bad" is refused, and "down" breaks its batch. */
function gated() {
  const seen: (readonly string[])[] = []
  const gates: (() => void)[] = []
  const ask = batches<string, string>(async (key, questions) => {
    seen.push([key, ...questions])
    await new Promise<void>((resolve) => gates.push(resolve))
    if (questions.includes('down')) throw new Error('down')
    return questions.map((question): Outcome<string> => (question === 'bad' ? { error: new Error('bad') } : { answer: question }))
  })
  const turn = async (): Promise<void> => {
    gates.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { ask, seen, turn }
}

describe('batches', () => {
  test('answer what comes meanwhile together, in order, and each question with its own answer', async () => {
    const { ask, seen, turn } = gated()
    const answers = ['a', 'b', 'bad', 'c'].map((question) => ask('roll', question, undefined).catch((error: Error) => error.message))
    const other = ask('other', 'x', undefined)
    await turn()
    expect(seen).toEqual([
      ['roll', 'a'],
      ['other', 'x'],
      ['roll', 'b', 'bad', 'c'],
    ])
    await turn()
    await turn()
    expect(await Promise.all(answers)).toEqual(['a', 'b', 'bad', 'c'])
    expect(await other).toBe('x')
    const later = ask('roll', 'd', undefined)
    await turn()
    expect(await later).toBe('d')
  })

  test('tell a failure to those who were in it, and go on with those behind', async () => {
    const { ask, turn } = gated()
    const first = ask('roll', 'a', undefined)
    const behind = ['down', 'b'].map((question) => ask('roll', question, undefined).catch((error: Error) => error.message))
    await turn()
    const last = ask('roll', 'c', undefined)
    await turn()
    await turn()
    expect(await first).toBe('a')
    expect(await Promise.all(behind)).toEqual(['down', 'down'])
    expect(await last).toBe('c')
  })

  test('leave out whoever has left before their turn, and are never greater than a database takes', async () => {
    const { ask, seen, turn } = gated()
    const controller = new AbortController()
    const first = ask('roll', 'first', undefined)
    const gone = ask('roll', 'gone', controller.signal).catch((error: unknown) => error)
    const many = Array.from({ length: 300 }, (_, index) => ask('roll', String(index), undefined))
    controller.abort()
    for (let round = 0; round < 3; round++) await turn()
    expect(await gone).toMatchObject({ code: 'ABORTED' })
    expect(await first).toBe('first')
    expect(await Promise.all(many)).toHaveLength(300)
    expect(seen.flat()).not.toContain('gone')
    expect(Math.max(...seen.map((batch) => batch.length - 1))).toBeLessThanOrEqual(256)
  })
})
