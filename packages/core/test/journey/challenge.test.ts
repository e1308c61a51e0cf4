import { manualClock, memoryJournal } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { issueNonce, takeNonce } from '../../src/journey/challenge.ts'

function scene() {
  const clock = manualClock()
  const journal = memoryJournal({ now: clock.now })
  let count = 0
  const random = (bytes: number): Uint8Array => {
    count += 1
    return new Uint8Array(bytes).fill(count)
  }
  return {
    clock,
    journal,
    issue: (device = 'd1', purpose: 'admit' | 'confirm' = 'admit') => issueNonce(journal, device, purpose, random, clock.now()),
    take: (device = 'd1', purpose: 'admit' | 'confirm' = 'admit') => takeNonce(journal, device, purpose, clock.now()),
  }
}

describe('a challenge', () => {
  test('counts once, for its device and its purpose', async () => {
    const { issue, take } = scene()
    const nonce = await issue()
    expect(nonce).toHaveLength(32)
    expect(await take('d2')).toBeUndefined()
    expect(await take('d1', 'confirm')).toBeUndefined()
    expect(await take()).toEqual(nonce)
    expect(await take()).toBeUndefined()
    expect(await issue()).not.toEqual(nonce)
  })

  test('is the same for a device that asks again, as long as it has time to answer, and is never reused', async () => {
    const { issue, take, clock } = scene()
    const nonce = await issue()
    clock.advance(150_000)
    expect(await issue()).toEqual(nonce)
    clock.advance(1)
    const second = await issue()
    expect(second).not.toEqual(nonce)
    expect(await take()).toEqual(second)
    expect(await issue()).not.toEqual(second)
  })

  test('expires, whichever clock is looked at', async () => {
    const { issue, clock, journal } = scene()
    await issue()
    expect(await takeNonce(journal, 'd1', 'admit', new Date(clock.now().getTime() + 300_000))).toBeUndefined()
    await issue()
    clock.advance(300_000)
    expect(await takeNonce(journal, 'd1', 'admit', clock.now())).toBeUndefined()
  })

  test('is not kept alive by a clock that was set back', async () => {
    const { issue, clock } = scene()
    const nonce = await issue()
    clock.advance(-1_000)
    expect(await issue()).not.toEqual(nonce)
  })

  test('counts for nothing where the clock was set back by more than its life, and another is asked', async () => {
    const { issue, take, clock } = scene()
    const nonce = await issue()
    clock.advance(-3_600_000)
    expect(await take()).toBeUndefined()
    expect(await issue()).not.toEqual(nonce)
  })

  test('is one for all who ask at once, and goes to one of all who answer at once', async () => {
    const { issue, take } = scene()
    const issued = await Promise.all(Array.from({ length: 8 }, () => issue()))
    expect(new Set(issued.map((nonce) => Buffer.from(nonce).toString('hex'))).size).toBe(1)
    const taken = await Promise.all(Array.from({ length: 8 }, () => take()))
    expect(taken.filter((nonce) => nonce !== undefined)).toHaveLength(1)
  })

  test('that somebody wrote into the journal counts for nothing', async () => {
    for (const junk of [
      'text',
      5,
      null,
      [],
      {},
      { nonce: 'AA==', until: '2099-01-01T00:00:00Z' },
      { nonce: 5, until: 5 },
      { nonce: 'A'.repeat(43), until: 'soon' },
    ]) {
      const { journal, take, issue } = scene()
      await journal.put('nonce/admit/d1', junk, { ifVersion: null })
      expect(await take()).toBeUndefined()
      await journal.put('nonce/admit/d1', junk, { ifVersion: null })
      expect(await issue()).toHaveLength(32)
    }
  })
})
