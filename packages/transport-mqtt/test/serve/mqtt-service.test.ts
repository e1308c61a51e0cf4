import { type Gateway, OtaError, tokenDevices } from '@reflash/core'
import { describe, expect, test, vi } from 'vitest'
import type { BrokerLine } from '../../src/broker-line.ts'
import { defaultMqttLimits, type MqttLimits, type MqttRecord } from '../../src/index.ts'
import { createMqttService } from '../../src/serve/mqtt-service.ts'
import { topicsOf } from '../../src/topics.ts'
import { decodeAnswer } from '../../src/wire/answer.ts'
import { encodeCheckIn } from '../../src/wire/check-in.ts'
import { encodeImageRequest } from '../../src/wire/image-request.ts'

const topics = topicsOf('reflash')
const token = 'a token'

/** A service on a line that only notes what is published. */
function stand(gateway: Partial<Gateway>, limits: Partial<MqttLimits> = {}) {
  const sent: { readonly topic: string; readonly payload: Uint8Array }[] = []
  const records: MqttRecord[] = []
  const line = {
    isConnected: true,
    maxPacketBytes: () => Number.MAX_SAFE_INTEGER,
    publish: async (topic: string, payload: Uint8Array) => void sent.push({ topic, payload }),
  } as unknown as BrokerLine
  const service = createMqttService({
    gateway: gateway as Gateway,
    authenticators: [tokenDevices({ d1: token, d2: 'another' })],
    line,
    topics,
    limits: { ...defaultMqttLimits, drainMs: 50, ...limits },
    onRecord: (record) => records.push(record),
  })
  return {
    service,
    sent,
    records,
    answers: () => sent.filter(({ topic }) => topic.endsWith('answer')).map(({ payload }) => decodeAnswer(payload)),
  }
}

const idle = { pollAfterMs: 1, because: [] }
const ask = (re: number) => encodeCheckIn({ re, token, state: {} })

describe('the messages of devices', () => {
  test('are answered without reasons where those would fill more than a message', async () => {
    const because = Array.from({ length: 1000 }, () => ({ code: '\u0001'.repeat(500), message: '\u0001'.repeat(5000) }))
    const { service, answers, records } = stand({
      checkIn: async () => {
        throw new OtaError('NO', 'rejected', '\u0001'.repeat(5000), { because })
      },
    })
    service.handle('d1', 'check-in', ask(1))
    await service.drain()
    expect(answers()).toMatchObject([{ re: 1, error: { code: 'INTERNAL', message: '' } }])
    expect(records).toMatchObject([{ kind: 'check-in', deviceId: 'd1', code: 'NO' }])
  })

  test('that are too many are left out, and one device cannot keep out another', async () => {
    let asked = 0
    const counted = async () => {
      asked += 1
      return idle
    }
    const { service, answers } = stand({ checkIn: counted }, { pendingOfDevice: 4, concurrency: 1 })
    for (let re = 1; re <= 5000; re++) service.handle('d1', 'check-in', ask(re))
    service.handle('d2', 'check-in', encodeCheckIn({ re: 9, token: 'another', state: {} }))
    await service.drain()
    expect(asked).toBe(5)
    expect(answers().at(-1)).toMatchObject({ re: 9, checkIn: { pollAfterMs: 1 } })
  })

  test('that come again while they are answered are not asked twice', async () => {
    const release = Promise.withResolvers<void>()
    let asked = 0
    const { service, answers } = stand({
      checkIn: async () => {
        asked += 1
        await release.promise
        return idle
      },
    })
    for (let time = 0; time < 3; time++) service.handle('d1', 'check-in', ask(1))
    await vi.waitFor(() => expect(asked).toBe(1))
    release.resolve()
    await service.drain()
    expect(asked).toBe(1)
    expect(answers()).toHaveLength(1)
  })

  test('without a token, with the token of another, or unreadable, never come to the gateway', async () => {
    let asked = 0
    const counted = async () => {
      asked += 1
      return idle
    }
    const { service, answers } = stand({
      checkIn: counted,
      read: counted as never,
    })
    service.handle('d1', 'check-in', encodeCheckIn({ re: 1, state: {} }))
    service.handle('d1', 'check-in', encodeCheckIn({ re: 2, token: 'another', state: {} }))
    service.handle('d1', 'check-in', Buffer.from('{"re":3,"token":"a token","model":7}'))
    service.handle('d1', 'check-in', Buffer.from('not JSON: nobody is answered'))
    service.handle(
      'd1',
      'image',
      encodeImageRequest({ re: 5, seq: 1, component: 'app', offset: 0, length: 1, chunkBytes: 256, have: new Uint8Array() }),
    )
    await service.drain()
    expect(asked).toBe(0)
    expect(answers().map(({ re, error }) => [re, error?.code])).toEqual([
      [3, 'INVALID_MESSAGE'],
      [1, 'DEVICE_NOT_AUTHENTICATED'],
      [2, 'DEVICE_NOT_AUTHENTICATED'],
      [5, 'DEVICE_NOT_AUTHENTICATED'],
    ])
  })

  test('end with the server, also where the gateway does not heed its signal', async () => {
    const { service } = stand({ checkIn: () => new Promise(() => {}) })
    service.handle('d1', 'check-in', ask(1))
    await service.drain()
  })
})
