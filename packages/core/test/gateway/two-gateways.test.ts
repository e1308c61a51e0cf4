import { isOtaError, type Report } from '@reflash/core'
import { memoryCache, memoryJournal } from '@reflash/core/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { world } from '../composition.ts'
import { at, crash, d1, gatewayOf, watchedJournal } from './pull.ts'

describe('two gateways on one journal', () => {
  test('offer one device one update, however many of its requests arrive at once', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const gateways = [gatewayOf(composition), gatewayOf({ ...composition, cache: memoryCache() })]
    const answers = await Promise.all(Array.from({ length: 8 }, (_, index) => gateways[index % 2]?.checkIn(d1, at('1.0.0'))))
    expect(answers.map((answer) => answer?.offer?.seq)).toEqual(Array.from({ length: 8 }, () => 1))
  })

  test('do not take back from each other what only one of them has seen', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    const [first, second] = [gatewayOf(composition), gatewayOf(composition)]
    await second.checkIn(d1, at('1.1.0'))
    clock.advance(3_000)
    release('1.2.0')
    expect((await first.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.2.0' })
    expect((await second.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.2.0' })
    expect((await first.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.2.0' })
  })

  test('lose no report that comes while the other one replaces the offer', async () => {
    const { release, composition, clock, events } = world()
    release('1.1.0')
    const plain = gatewayOf(composition)
    await plain.checkIn(d1, at('1.0.0'))
    release('1.2.0')
    clock.advance(10_000)
    let reported = false
    const { journal } = watchedJournal(composition.journal, async (key) => {
      if (reported || !key.startsWith('device/')) return
      reported = true
      await plain.report(d1, 1, { state: 'downloading' })
    })
    const slow = gatewayOf({ ...composition, journal })
    expect((await slow.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.1.0' })
    expect(reported).toBe(true)
    await plain.report(d1, 1, { state: 'confirmed' })
    expect(events.filter((event) => event.type === 'device' && event.stage === 'confirm' && event.status === 'passed')).toHaveLength(1)
  })

  test('answer a check-in although the update ended under it', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const plain = gatewayOf(composition)
    await plain.checkIn(d1, at('1.0.0'))
    await plain.report(d1, 1, { state: 'installed' })
    let ended = false
    const { journal } = watchedJournal(composition.journal, async (key) => {
      if (ended || !key.startsWith('device/')) return
      ended = true
      await plain.report(d1, 1, { state: 'confirmed' })
    })
    expect(await gatewayOf({ ...composition, journal }).checkIn(d1, at('1.1.0'))).toMatchObject({ because: [{ code: 'UP_TO_DATE' }] })
  })

  test('give every number once and in order, whatever a device does at both at once', async () => {
    const states: Report['state'][] = ['downloading', 'downloaded', 'installing', 'installed', 'confirmed', 'failed', 'rolled-back']
    const act = fc.oneof(
      fc.record({ what: fc.constant('check-in' as const), version: fc.constantFrom('1.0.0', '1.1.0', '1.2.0') }),
      fc.record({ what: fc.constant('report' as const), state: fc.constantFrom(...states), back: fc.nat(2) }),
      fc.record({ what: fc.constant('publish' as const) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(act, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), async (rounds) => {
        const { release, composition, clock } = world({ journal: memoryJournal() })
        release('1.1.0')
        const gateways = [gatewayOf(composition), gatewayOf({ ...composition, cache: memoryCache() })] as const
        const versions = new Map<number, string>()
        let last = 0
        let minor = 1
        for (const acts of rounds) {
          const answers = await Promise.all(
            acts.map(async (one, index) => {
              const gateway = gateways[index % 2 === 0 ? 0 : 1]
              if (one.what === 'publish') {
                minor += 1
                release(`1.${minor}.0`)
                return undefined
              }
              if (one.what === 'check-in') return (await gateway.checkIn(d1, at(one.version))).offer
              // A report for a number that was never given is the one mistake there is.
              await gateway.report(d1, Math.max(0, last - one.back), { state: one.state }).catch((error: unknown) => {
                expect(isOtaError(error) && error.code).toBe('NO_OFFER')
                expect(Math.max(0, last - one.back)).toBe(0)
              })
              return undefined
            }),
          )
          for (const offer of answers) {
            if (offer === undefined) continue
            expect(versions.get(offer.seq) ?? offer.version).toBe(offer.version)
            versions.set(offer.seq, offer.version)
            last = Math.max(last, offer.seq)
          }
          clock.advance(5_000)
        }
        for (const seq of versions.keys()) expect(seq).toBeLessThanOrEqual(last)
      }),
      { numRuns: 60 },
    )
  })
})

describe('a crash', () => {
  test('before any write of the journal loses nothing: the update goes on and ends confirmed, once', async () => {
    const walk = async (cutAt: number): Promise<number> => {
      const { release, composition, events } = world()
      release('1.1.0')
      const { journal, writes } = watchedJournal(composition.journal, (_, write) => {
        if (write === cutAt) crash()
      })
      let gateway = gatewayOf({ ...composition, journal })
      // Each step again until it is answered, as a device does, at a server that was started anew.
      const insist = async <T>(step: () => Promise<T>): Promise<T> => {
        try {
          return await step()
        } catch (error) {
          if (!isOtaError(error) || error.code !== 'JOURNAL_UNAVAILABLE') throw error
          gateway = gatewayOf({ ...composition, journal })
          return step()
        }
      }
      const { offer } = await insist(() => gateway.checkIn(d1, at('1.0.0')))
      expect(offer).toMatchObject({ seq: 1, version: '1.1.0' })
      for (const state of ['downloading', 'downloaded', 'installing', 'installed'] as const)
        await insist(() => gateway.report(d1, 1, { state }))
      await insist(() => gateway.checkIn(d1, at('1.1.0', { state: 'pending' })))
      expect((await insist(() => gateway.checkIn(d1, at('1.1.0')))).because[0]?.code).toBe('UP_TO_DATE')
      const ends = events.filter((event) => event.type === 'device' && event.stage === 'confirm' && event.status === 'passed')
      expect(ends, `cut at write ${cutAt}`).toHaveLength(1)
      return writes()
    }
    const all = await walk(0)
    expect(all).toBeGreaterThan(6)
    for (let cutAt = 1; cutAt <= all; cutAt++) await walk(cutAt)
  })
})
