import { expect, test } from 'vitest'
import { world } from '../composition.ts'
import { d1, gatewayOf } from './pull.ts'

const remembered = { installed: 'remembered' } as const
const poll = { model: 'board' }

test('a device that never says what it runs is told its offer until it has ended it, however late', async () => {
  let now = Date.parse('2026-11-21T12:00:00Z')
  const { release, composition } = world()
  release('1.1.0')
  const gateway = gatewayOf({ ...composition, clock: () => new Date(now) })
  const offered = (await gateway.checkIn(d1, poll, undefined, remembered)).offer
  expect(offered?.seq).toBe(1)
  await gateway.report(d1, 1, { state: 'installed' })
  for (let day = 0; day < 3; day++) {
    now += 86_400_000
    const answer = await gateway.checkIn(d1, poll, undefined, remembered)
    expect([answer.offer, answer.because[0]?.code]).toEqual([offered, 'NOT_BOOTED'])
  }
  await gateway.report(d1, 1, { state: 'confirmed' })
  expect((await gateway.checkIn(d1, poll, undefined, remembered)).because[0]?.code).toBe('UP_TO_DATE')
})

test('what it confirmed last is what it runs, whatever it tried since: only what is newer is offered', async () => {
  const { release, composition } = world()
  release('1.1.0')
  const gateway = gatewayOf(composition)
  await gateway.checkIn(d1, poll, undefined, remembered)
  await gateway.report(d1, 1, { state: 'confirmed' })
  expect((await gateway.checkIn(d1, poll, undefined, remembered)).offer).toBeUndefined()
  // Without it the same is offered for ever.
  expect((await gateway.checkIn(d1, poll, undefined)).offer?.version).toBe('1.1.0')
})

test('what a device says counts more than what is remembered of it', async () => {
  const { release, composition } = world()
  release('1.1.0')
  const gateway = gatewayOf(composition)
  await gateway.checkIn(d1, poll, undefined, remembered)
  await gateway.report(d1, 1, { state: 'confirmed' })
  expect((await gateway.checkIn(d1, { ...poll, installed: { version: '1.0.0' } }, undefined, remembered)).offer?.version).toBe('1.1.0')
})
