import type { Report } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { world } from '../composition.ts'
import { at, d1, gatewayOf, recordIn, watchedJournal } from './pull.ts'

async function offered() {
  const from = world()
  const { journal, writes } = watchedJournal(from.composition.journal)
  from.release('1.1.0')
  const gateway = gatewayOf({ ...from.composition, journal })
  await gateway.checkIn(d1, at('1.0.0'))
  const stages = () => from.events.flatMap((event) => (event.type === 'device' ? [`${event.stage} ${event.status}`] : []))
  return {
    ...from,
    gateway,
    journal,
    writes,
    stages,
    report: (state: Report['state'], more: object = {}) => gateway.report(d1, 1, { state, ...more }),
  }
}

describe('reports', () => {
  test('pass each room once, in whatever order and however often they come', async () => {
    const { report, stages } = await offered()
    for (const state of ['installing', 'downloading', 'installing', 'downloaded', 'installed', 'installed', 'downloading'] as const)
      await report(state)
    await report('confirmed')
    expect(stages().filter((stage) => stage.endsWith('passed'))).toEqual([
      'admit passed',
      'plan passed',
      'deliver passed',
      'install passed',
      'confirm passed',
    ])
  })

  test('after the end change nothing, whatever they say and however long ago it was', async () => {
    const { report, stages, gateway, release, clock } = await offered()
    await report('failed', { code: 'FLASH' })
    const ended = stages()
    for (const state of ['failed', 'confirmed', 'downloading', 'rolled-back'] as const) await report(state)
    expect(stages()).toEqual(ended)
    for (let minor = 2; minor < 20; minor++) {
      release(`1.${minor}.0`)
      clock.advance(10_000)
      const { offer } = await gateway.checkIn(d1, at(`1.${minor - 1}.0`))
      await gateway.report(d1, offer?.seq ?? 0, { state: 'confirmed' })
    }
    await report('confirmed')
    await expect(gateway.read(d1, 1)).rejects.toMatchObject({ code: 'OFFER_CLOSED' })
    await expect(gateway.report(d1, 99, { state: 'confirmed' })).rejects.toMatchObject({ code: 'NO_OFFER' })
    for (const seq of [0, -1, 1.5, Number.NaN]) {
      await expect(gateway.report(d1, seq, { state: 'confirmed' })).rejects.toMatchObject({ code: 'NO_OFFER' })
    }
  })

  test('of progress cost no write each, and keep the download alive', async () => {
    const { report, writes, journal, clock } = await offered()
    const before = writes()
    for (let second = 0; second < 600; second++) {
      clock.advance(1_000)
      await report('downloading', { received: second })
    }
    expect(writes() - before).toBeLessThanOrEqual(11)
    const { open } = await recordIn(journal)
    expect(clock.now().getTime() - Date.parse(open.heard)).toBeLessThan(60_000)
  })

  test('cannot fill the record of a device, which then could never be written again', async () => {
    const from = world({ policy: { attempts: 16 } })
    const gateway = gatewayOf(from.composition)
    const messages = Array.from({ length: 50 }, () => '\u{1F4A5}'.repeat(512))
    const attributes = Object.fromEntries(Array.from({ length: 90 }, (_, index) => [`k${index}`, '\u{1F4A5}'.repeat(80)]))
    await gateway.attributes(d1, attributes, 'replace')
    for (let round = 1; round <= 20; round++) {
      from.release(`1.${round}.0`)
      from.clock.advance(10_000)
      const own = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [`own-${key}`, value]))
      expect((await gateway.checkIn(d1, { ...at('1.0.0'), attributes: own })).offer?.seq).toBe(round)
      await gateway.report(d1, round, { state: 'installing', code: 'x'.repeat(1024), messages })
      await gateway.report(d1, round, { state: 'failed', code: 'x'.repeat(1024), messages })
    }
  })

  test.each<[string, unknown]>([
    ['no report', undefined],
    ['null', null],
    ['an unknown state', { state: 'done' }],
    ['a state that an object has', { state: 'toString' }],
    ['a state that cannot become text', { state: { toString: 'failed' } }],
    ['bytes that are no number', { state: 'downloading', received: '5' }],
    ['less than no bytes', { state: 'downloading', received: -1 }],
    ['a code that is no text', { state: 'failed', code: 5 }],
    ['an endless code', { state: 'failed', code: 'x'.repeat(1025) }],
    ['messages that are no list', { state: 'failed', messages: 'x' }],
    ['too many messages', { state: 'failed', messages: Array.from({ length: 51 }, () => 'x') }],
    ['a message that is no text', { state: 'failed', messages: [null] }],
  ])('that are %s are refused', async (_, report) => {
    const { gateway } = await offered()
    await expect(gateway.report(d1, 1, report as Report)).rejects.toMatchObject({ code: 'INVALID_REPORT', fault: 'invalid' })
  })

  test('that were aborted before they began change nothing, and count once they have begun', async () => {
    const { gateway, stages } = await offered()
    const before = stages()
    await expect(gateway.report(d1, 1, { state: 'failed' }, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(stages()).toEqual(before)
    const caller = new AbortController()
    const begun = gateway.report(d1, 1, { state: 'confirmed' }, { signal: caller.signal })
    caller.abort()
    await begun
    expect(stages().at(-1)).toBe('confirm passed')
  })
})
