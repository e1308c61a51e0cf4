import { getEventListeners } from 'node:events'
import { compose, createEngine, createGateway, type OtaEvent } from '@reflash/core'
import { memoryDevice, memoryTransport } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { createEvents } from '../src/events.ts'
import { image, principal, world } from './composition.ts'

const at = new Date('2030-01-01T00:00:00.000Z')
const progress = (done: number, reference = 'r'): OtaEvent => ({ type: 'progress', at, stage: 'fetch', reference, done, total: 100 })
const stage = (version: string): OtaEvent => ({
  type: 'release',
  at,
  stage: 'verify',
  status: 'passed',
  reference: 'r',
  version,
  because: [],
})

async function read(events: AsyncIterable<OtaEvent>, count = Number.POSITIVE_INFINITY): Promise<OtaEvent[]> {
  const seen: OtaEvent[] = []
  if (count === 0) return seen
  for await (const event of events) {
    seen.push(event)
    if (seen.length >= count) break
  }
  return seen
}

describe('events', () => {
  test('reach every listener in order, until it leaves', () => {
    const events = createEvents()
    const [first, second]: OtaEvent[][] = [[], []]
    const leave = events.subscribe((event) => first?.push(event))
    events.subscribe((event) => second?.push(event))
    events.emit(stage('1'))
    leave()
    leave()
    events.emit(stage('2'))
    expect([first, second]).toEqual([[stage('1')], [stage('1'), stage('2')]])
  })

  test('are not stopped by a listener that throws, rejects, or leaves while it is told', async () => {
    const events = createEvents()
    const seen: OtaEvent[] = []
    events.subscribe(() => {
      throw new TypeError('a logger broke')
    })
    events.subscribe((async () => Promise.reject(new TypeError('an async logger broke'))) as () => void)
    const leave = events.subscribe(() => leave())
    events.subscribe((event) => seen.push(event))
    events.emit(stage('1'))
    // An unhandled rejection would end this process.
    await new Promise(setImmediate)
    expect(seen).toHaveLength(1)
  })

  test('can be iterated from the call on, and end with close', async () => {
    const events = createEvents()
    const iterable = events.iterate()
    events.emit(stage('1'))
    const reading = read(iterable)
    await new Promise(setImmediate)
    events.emit(stage('2'))
    events.close()
    expect(await reading).toEqual([stage('1'), stage('2')])
    expect(await read(events.iterate())).toEqual([])
    const silent: OtaEvent[] = []
    events.subscribe((event) => silent.push(event))
    events.emit(stage('3'))
    expect(silent).toEqual([])
  })

  test('end with the signal of their reader, which keeps no listener', async () => {
    const events = createEvents()
    const reader = new AbortController()
    const reading = read(events.iterate(reader.signal))
    events.emit(stage('1'))
    reader.abort()
    expect(await reading).toEqual([stage('1')])
    expect(getEventListeners(reader.signal, 'abort')).toEqual([])
    expect(await read(events.iterate(AbortSignal.abort()))).toEqual([])
    const { signal } = new AbortController()
    const early = read(events.iterate(signal), 1)
    events.emit(stage('1'))
    await early
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('of progress merge for each transfer, however many there are at once; stages are never dropped', async () => {
    const events = createEvents()
    const iterable = events.iterate()
    for (let done = 1; done <= 20_000; done++) {
      events.emit(progress(done, `r${done % 3}`))
      if (done % 5_000 === 0) events.emit(stage(String(done)))
    }
    events.close()
    const seen = await read(iterable)
    expect(seen.filter(({ type }) => type === 'release')).toHaveLength(4)
    expect(seen.filter(({ type }) => type === 'progress')).toEqual([progress(19_999, 'r1'), progress(20_000, 'r2'), progress(19_998, 'r0')])
  })

  test('of progress that was read are told again as they go on', async () => {
    const events = createEvents()
    const iterator = events.iterate()[Symbol.asyncIterator]()
    for (const done of [1, 2, 3]) {
      events.emit(progress(done))
      expect((await iterator.next()).value).toEqual(progress(done))
    }
  })

  test('are told to be too many, after those that fitted, and the reader costs nothing any more', async () => {
    const events = createEvents()
    const iterator = events.iterate()[Symbol.asyncIterator]()
    for (let count = 0; count < 10_050; count++) events.emit(stage(String(count)))
    for (let count = 0; count < 10_000; count++) expect((await iterator.next()).value).toEqual(stage(String(count)))
    await expect(iterator.next()).rejects.toMatchObject({ code: 'EVENTS_OVERFLOW', fault: 'unavailable' })
    expect((await iterator.next()).done).toBe(true)
  })
})

describe('what a composition tells', () => {
  test('begins with what it is made of and leaves open, and is plain data throughout', async () => {
    const from = world()
    from.release('1.1.0')
    from.release('1.0.5', { unsigned: true })
    const unit = memoryDevice({ id: 'd2', runs: image('board', '1.0.0'), selfTest: 'fails' })
    const engine = createEngine({ ...from.composition, transports: [memoryTransport([unit])], lookAgainMs: 1, policy: { bootGraceMs: 0 } })
    const gateway = createGateway(engine.composition)
    await gateway.checkIn(principal('d1'), { model: 'board', installed: { version: '1.0.0' } })
    await gateway.report(principal('d1'), 1, { state: 'failed', messages: ['worn out'] })
    await engine.update({ id: 'd2' })
    from.registry.setOnline(false)
    from.clock.advance(60_000)
    await gateway.checkIn(principal('d1'), { model: 'board', installed: { version: '1.0.0' } })
    await gateway.read(principal('d3'), 'current')
    await gateway.sent(principal('d3'), 'current')
    const [first] = from.events
    expect(first).toEqual({
      type: 'composed',
      at: expect.any(Date) as Date,
      plugins: [
        { kind: 'transport', name: 'memory' },
        { kind: 'registry', name: 'memory' },
        { kind: 'signature-verifier', name: 'vouching' },
        { kind: 'version-source', name: 'signed-versions' },
        { kind: 'target', name: 'memory-board' },
        { kind: 'evidence-verifier', name: 'unattested-devices' },
        { kind: 'authenticator', name: 'anonymous-devices' },
        { kind: 'journal', name: 'memory' },
        { kind: 'cache', name: 'memory' },
      ],
      opens: engine.composition.opens,
    })
    expect(new Set(from.events.map(({ type }) => type))).toEqual(new Set(['composed', 'release', 'device', 'progress', 'registry']))
    for (const event of from.events) {
      expect(JSON.parse(JSON.stringify(event))).toEqual({ ...event, at: event.at.toISOString() })
      if (
        event.type !== 'composed' &&
        event.type !== 'progress' &&
        event.type !== 'rollout' &&
        event.status !== 'passed' &&
        event.status !== 'fresh'
      ) {
        expect(event.because.length, JSON.stringify(event)).toBeGreaterThan(0)
      }
    }
  })

  test('names what is open once, in the record and for whoever starts it', () => {
    const from = world()
    const { opens } = compose(from.composition)
    expect(opens).toHaveLength(3)
    expect(from.events.filter(({ type }) => type === 'composed')).toMatchObject([{ opens }])
  })
})
