import { describe, expect, test } from 'vitest'
import { createTurns, requestsPerTurn } from '../../src/adapter/turns.ts'

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('requests of one turn', () => {
  test('are all worked on, some microtasks long, before any answer leaves', async () => {
    const log: string[] = []
    const turns = createTurns<number, string>(
      (request) => {
        log.push(`work ${request}`)
        void Promise.resolve()
          .then(() => new Promise<void>((resolve) => process.nextTick(resolve)))
          .then(() => turns.end(request, 'ok'))
      },
      (request, answer) => log.push(`${answer} ${request}`),
    )
    for (const request of [1, 2, 3]) turns.begin(request)
    expect(log).toEqual([])
    // Planned after the two of the turns: when it comes, both have run.
    await nextTurn()
    expect(log).toEqual(['work 1', 'work 2', 'work 3', 'ok 1', 'ok 2', 'ok 3'])
  })

  test('are never more than the limit: an answer that is ready waits for no others', async () => {
    const log: string[] = []
    const turns = createTurns<number, string>(
      (request) => {
        log.push('work')
        turns.end(request, 'ok')
      },
      (_, answer) => log.push(answer),
    )
    const count = 2 * requestsPerTurn + 1
    for (let request = 0; request < count; request++) turns.begin(request)
    for (let turn = 0; turn < 3; turn++) await nextTurn()
    const group = (size: number): string[] => [...Array<string>(size).fill('work'), ...Array<string>(size).fill('ok')]
    expect(log).toEqual([...group(requestsPerTurn), ...group(requestsPerTurn), ...group(1)])
  })

  test('are answered all the same, each once, when their work takes turns of its own or begins while others are sent', async () => {
    const sent: number[] = []
    const turns = createTurns<number, string>(
      (request) => {
        const slow = async (): Promise<void> => {
          for (let turn = 0; turn < request % 4; turn++) await nextTurn()
          turns.end(request, 'ok')
        }
        void slow()
      },
      (request) => {
        sent.push(request)
        if (request < 300) turns.begin(request + 100)
      },
    )
    for (let request = 0; request < 100; request++) turns.begin(request)
    for (let turn = 0; turn < 100; turn++) await nextTurn()
    expect(sent.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, request) => request))
  })
})
