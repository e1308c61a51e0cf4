import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chunkWindow } from '../src/agent/chunk-window.ts'
import { bitmapOf } from '../src/wire/bitmap.ts'

const chunksOf = (from: number, size: number, chunkBytes: number) =>
  Array.from({ length: Math.ceil(size / chunkBytes) }, (_, index) => {
    const offset = from + index * chunkBytes
    return { offset, end: Math.min(offset + chunkBytes, from + size) }
  })

describe('the window of a transfer', () => {
  test('brings every chunk to the device over a line that loses, doubles and turns round, and never sends beyond the window', () => {
    const line = fc.record({
      chunkBytes: fc.integer({ min: 1, max: 50 }),
      windowChunks: fc.integer({ min: 1, max: 12 }),
      size: fc.integer({ min: 1, max: 600 }),
      from: fc.integer({ min: 0, max: 9999 }),
      fates: fc.infiniteStream(fc.constantFrom('comes', 'comes', 'lost', 'twice')),
      ackFates: fc.infiniteStream(fc.constantFrom('comes', 'comes', 'lost')),
    })
    fc.assert(
      fc.property(line, ({ chunkBytes, windowChunks, size, from, fates, ackFates }) => {
        const windowBytes = windowChunks * chunkBytes
        const window = chunkWindow(chunksOf(from, size, chunkBytes), { chunkBytes, windowBytes, againMs: 1 })
        const held = new Map<number, number>()
        let next = from
        let now = 0
        for (let round = 0; !window.isDone; round++) {
          expect(round).toBeLessThan(5000)
          now += 1
          for (const { offset, end } of window.due(now)) {
            expect(end - window.next <= windowBytes || offset === window.next).toBe(true)
            if (fates.next().value !== 'lost') held.set(offset, end)
          }
          for (let end = held.get(next); end !== undefined; end = held.get(next)) next = end
          const ahead = [...held.keys()].filter((offset) => offset > next).map((offset) => (offset - next) / chunkBytes)
          if (ackFates.next().value !== 'lost') window.heard({ next, bitmap: bitmapOf(ahead.filter(Number.isInteger)) }, now)
          else if (round % 3 === 2) window.lose()
          if (round % 7 === 6) window.lose()
        }
        expect(next).toBe(from + size)
      }),
      { numRuns: 200 },
    )
  })

  test('sends a chunk again that is missing behind later ones, without waiting', () => {
    const window = chunkWindow(chunksOf(0, 40, 10), { chunkBytes: 10, windowBytes: 40, againMs: 5 })
    expect(window.due(0).map(({ offset }) => offset)).toEqual([0, 10, 20, 30])
    window.heard({ next: 0, bitmap: bitmapOf([1, 2, 3]) }, 10)
    expect(window.due(10).map(({ offset }) => offset)).toEqual([0])
    expect(window.heard({ next: 40, bitmap: new Uint8Array() }, 11)).toBe(true)
    expect(window.isDone).toBe(true)
  })

  test('does not go back where an old word of the device comes late', () => {
    const window = chunkWindow(chunksOf(0, 40, 10), { chunkBytes: 10, windowBytes: 20, againMs: 5 })
    window.due(0)
    window.heard({ next: 20, bitmap: new Uint8Array() }, 1)
    expect(window.heard({ next: 10, bitmap: new Uint8Array() }, 2)).toBe(false)
    expect(window.next).toBe(20)
  })
})
