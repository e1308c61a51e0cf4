import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { formatBytes, progressOn } from '../src/progress.ts'

function sink(isTTY: boolean) {
  const written: string[] = []
  return { isTTY, written, write: (text: string) => written.push(text) }
}

describe('progress', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('redraws a bar on a terminal and clears it at the end', () => {
    const terminal = sink(true)
    const progress = progressOn(terminal, 'pulling')
    progress.update(512, 1024)
    vi.advanceTimersByTime(100)
    progress.end()
    expect(terminal.written).toEqual(['\r\u001b[Kpulling [############............] 50 % of 1.0 KiB', '\r\u001b[K'])
  })

  it('writes a line every few seconds elsewhere, also where nothing moves', () => {
    const log = sink(false)
    const progress = progressOn(log, 'pulling')
    progress.update(256, 1024)
    vi.advanceTimersByTime(6000)
    progress.end()
    vi.advanceTimersByTime(60_000)
    expect(log.written).toEqual(['pulling: 25 % of 1.0 KiB\n', 'pulling: 25 % of 1.0 KiB\n'])
  })

  it('shows nothing of work that is done at once', () => {
    const log = sink(true)
    const progress = progressOn(log, 'pulling')
    progress.update(1024, 1024)
    progress.end()
    expect(log.written).toEqual([])
  })

  it('says that it works where nobody knows how much there is', () => {
    const log = sink(false)
    const progress = progressOn(log, 'signing')
    vi.advanceTimersByTime(3000)
    progress.update(2048, 0)
    vi.advanceTimersByTime(3000)
    progress.end()
    expect(log.written).toEqual(['signing: working\n', 'signing: 2.0 KiB\n'])
  })

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1_572_864, '1.5 MiB'],
    [3 * 1024 ** 3, '3.0 GiB'],
  ])('writes %i bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })
})
