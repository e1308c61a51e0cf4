import { type CheckInAnswer, digestOf, type Gateway } from '@reflash/core'
import { expect, test, vi } from 'vitest'
import { announcingGateway } from '../../src/serve/announcing-gateway.ts'
import { serverLog } from '../../src/serve/server-log.ts'

const digest = digestOf(new Uint8Array([1]))
const who = { deviceId: 'd1', by: 'token' } as const

function answerOf(version: string): CheckInAnswer {
  const representation = { descriptor: { mediaType: 'x', digest, size: 9 }, fileName: 'a', crc32: 1, coding: 'identity' } as const
  const components = [{ component: 'app', yields: digest, representations: [representation] }]
  return { pollAfterMs: 1, because: [], offer: { seq: 1, version, mode: 'forced', components } }
}

function stand(announce: (deviceId: string, notice: object) => Promise<void>) {
  const state = { answer: answerOf('1.0.0') }
  const lines: string[] = []
  const log = serverLog({ write: (text: string) => lines.push(text) }, 'warn', () => new Date(0))
  const gateway = announcingGateway({ checkIn: async () => state.answer } as unknown as Gateway, announce, log)
  return { state, lines, gateway }
}

test('a version that a device is offered is announced once, whatever how often it asks; the next one again', async () => {
  const announced: unknown[] = []
  const { state, gateway } = stand(async (...said) => void announced.push(said))
  for (let times = 0; times < 3; times++) expect(await gateway.checkIn(who)).toBe(state.answer)
  state.answer = answerOf('1.1.0')
  await gateway.checkIn(who)
  state.answer = { pollAfterMs: 1, because: [] }
  await gateway.checkIn(who)
  expect(announced).toEqual([
    ['d1', { version: '1.0.0', size: 9 }],
    ['d1', { version: '1.1.0', size: 9 }],
  ])
})

test('a device does not wait for what others are told; where nobody can be told, that is logged, and tried again', async () => {
  let attempts = 0
  const { lines, gateway } = stand(async () => {
    attempts += 1
    throw new Error('no broker')
  })
  await gateway.checkIn(who)
  await vi.waitFor(() => expect(lines).toHaveLength(1))
  expect(JSON.parse(lines[0] as string)).toMatchObject({ level: 'warn', deviceId: 'd1', code: 'INTERNAL' })
  await gateway.checkIn(who)
  await vi.waitFor(() => expect(attempts).toBe(2))
  const waiting = stand(() => new Promise<void>(() => {}))
  expect((await waiting.gateway.checkIn(who)).offer?.version).toBe('1.0.0')
})
