import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { tokenDevices } from '@reflash/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type EmbeddedBroker, embeddedBroker } from '../../src/broker/index.ts'
import { mqttClient } from '../../src/client/index.ts'
import { brokerDevices, type MqttRecord, type MqttTransport, mqttTransport } from '../../src/index.ts'
import { encodeCheckIn } from '../../src/wire/check-in.ts'
import { encodeImageRequest } from '../../src/wire/image-request.ts'
import { connectPacket, publishPacket, rawConnection, subscribePacket } from '../support/raw-mqtt.ts'
import { boardOf, gatewayOf, tokenOf, updateOverMqtt } from '../support/world.ts'

// d1 is honest; whoever attacks is d2, with its own token, or a stranger.
const devices = ['d1', 'd2']
let broker: EmbeddedBroker
let transport: MqttTransport
let records: MqttRecord[]

beforeEach(async () => {
  const authenticators = [tokenDevices(Object.fromEntries(devices.map((id) => [id, tokenOf(id)])))]
  broker = await embeddedBroker({ listen: '127.0.0.1:0', authenticators, otafluxTopic: 'fw' })
  records = []
  transport = mqttTransport({ ...broker.server, otafluxTopic: 'fw', onRecord: (record) => records.push(record) })
  const gateway = gatewayOf({ devices })
  await transport.serve({ gateway, authenticators: [brokerDevices()] })
})
afterEach(async () => {
  await transport.close()
  await broker[Symbol.asyncDispose]()
})

const state = { model: 'board', installed: { version: '1.0.0' } }
const clientOf = (deviceId: string, more = {}) =>
  mqttClient({ url: broker.url, version: '3.1.1', deviceId, username: deviceId, password: tokenOf(deviceId), ...more })

/** d2 at the broker, as bytes; the broker has let it in. */
async function attacker(clientId = `raw-${randomBytes(4).toString('hex')}`): Promise<ReturnType<typeof rawConnection>> {
  const raw = rawConnection(broker.url)
  raw.socket.write(connectPacket(clientId, 'd2', tokenOf('d2')))
  await heardBytes(raw, connackBytes)
  return raw
}

/** Sends one packet after the other, as fast as the broker takes them. */
async function sendAll(socket: Socket, packets: Iterable<Uint8Array>): Promise<void> {
  let count = 0
  for (const packet of packets) {
    if (!socket.write(packet)) await once(socket, 'drain')
    count += 1
    if (count % 500 === 0) await new Promise(setImmediate)
  }
}

/** Holds that d1 is served as ever. */
async function honest(what: string): Promise<void> {
  const client = clientOf('d1')
  expect(await updateOverMqtt(client, boardOf('d1')), what).toBe('UP_TO_DATE 1.1.0 confirmed')
  await client.close()
}

/** Holds that nobody but d1 has spoken for d1, and nobody for anybody else. */
function onlyOf(...ids: readonly string[]): void {
  expect([...new Set(records.map(({ deviceId }) => deviceId))].sort()).toEqual([...ids].sort())
}

/** Resolves once the broker has sent so many bytes. */
async function heardBytes({ socket, heard }: ReturnType<typeof rawConnection>, count: number): Promise<Buffer> {
  while (heard().length < count) await once(socket, 'data')
  return heard()
}

const checkIn = encodeCheckIn({ re: 1, state })
const connackBytes = 4

describe('beside the embedded broker', () => {
  test('a device that asks for images and reads none of them keeps nobody waiting', async () => {
    const client = clientOf('d2')
    const { offer } = await client.checkIn(state)
    await client.close()
    const { socket } = await attacker()
    socket.write(subscribePacket('reflash/v1/down/d2/#'))
    socket.pause()
    const asked = { seq: offer?.seq ?? 0, component: offer?.components[0]?.component ?? '', offset: 0, length: 262_144, chunkBytes: 65_536 }
    for (let re = 1; re <= 400; re++) {
      const request = encodeImageRequest({ re, ...asked, have: new Uint8Array() })
      await sendAll(socket, [publishPacket('reflash/v1/up/d2/image', request)])
      // So few at once as the server takes of one device.
      if (re % 8 === 0) await new Promise(setImmediate)
    }
    await honest('beside a reader that does not read')
    socket.destroy()
  }, 30_000)

  test('strangers who speak no MQTT, or too much of it, are thrown out', async () => {
    const garbage: readonly (readonly [string, Uint8Array])[] = [
      ...Array.from({ length: 20 }, (_, index) => [`random bytes ${index}`, randomBytes(2000)] as const),
      ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
      ['a message before CONNECT', publishPacket('reflash/v1/up/d1/check-in', checkIn)],
      ['a subscription before CONNECT', subscribePacket('#')],
      ['a client id of 60,000 letters', connectPacket('x'.repeat(60_000), 'd2', tokenOf('d2'))],
      ['a user name of 60,000 letters', connectPacket('c', 'x'.repeat(60_000), 'y'.repeat(60_000))],
      ['a password of 60,000 letters', connectPacket('c', 'd2', 'y'.repeat(60_000))],
      ['no user name', connectPacket('c')],
      ['a packet of 256 MiB', Uint8Array.of(0x30, 0xff, 0xff, 0xff, 0x7f)],
      ['a length that does not end', Uint8Array.of(0x10, 0xff, 0xff, 0xff, 0xff, 0xff)],
      ['CONNECT twice', Buffer.concat([connectPacket('c', 'd2', tokenOf('d2')), connectPacket('c', 'd1', tokenOf('d1'))])],
    ]
    const all = garbage.map(([, bytes]) => {
      const { socket, closed } = rawConnection(broker.url)
      socket.write(bytes)
      // A length that is not filled is waited for; its sender leaves.
      socket.end()
      return closed
    })
    await honest('beside strangers')
    await Promise.all(all)
    onlyOf('d1')
  })

  test('a device that publishes what is not its own is thrown out, and nobody hears it', async () => {
    const own = 'reflash/v1/up/d2'
    const forbidden: readonly (readonly [string, Uint8Array])[] = [
      ['as another', publishPacket('reflash/v1/up/d1/check-in', checkIn)],
      ['as the server', publishPacket('reflash/v1/down/d1/answer', checkIn)],
      ['to itself, as the server', publishPacket('reflash/v1/down/d2/agent', checkIn)],
      ["another's notification", publishPacket('fw/d1', Buffer.from('{"version":"9.9.9","size":1}'))],
      ['its own notification', publishPacket('fw/d2', Buffer.from('{"version":"9.9.9","size":1}'))],
      ['for those who come later', publishPacket(`${own}/check-in`, checkIn, true)],
      ['with QoS 2', publishPacket(`${own}/check-in`, checkIn, false, 2)],
      ['to nobody', publishPacket(`${own}/format`, checkIn)],
      ['to no instance', publishPacket(`${own}/agent/${'x'.repeat(60_000)}`, checkIn)],
      ['under 200 levels', publishPacket(`${own}/check-in${'/a'.repeat(200)}`, checkIn)],
      ['a topic of 60,000 letters', publishPacket('x'.repeat(60_000), checkIn)],
      ['an empty topic', publishPacket('', checkIn)],
      ['a wildcard', publishPacket('reflash/v1/up/+/check-in', checkIn)],
      ["the broker's own words", publishPacket('$SYS/x/new/clients', Buffer.from('d1'))],
      ['a message of 200,000 bytes', publishPacket(`${own}/check-in`, randomBytes(200_000))],
    ]
    const spy = clientOf('d1')
    const notices: unknown[] = []
    await spy.onNotice((notice) => notices.push(notice))
    await Promise.all(
      forbidden.map(async ([, bytes]) => {
        const raw = await attacker()
        raw.socket.write(bytes)
        await raw.closed
      }),
    )
    await honest('after them')
    expect(notices).toEqual([])
    await spy.close()
    onlyOf('d1')
  })

  test('a device hears nothing but what is for it, whatever it subscribes to', async () => {
    const filters = [
      '#',
      '+/#',
      'reflash/#',
      'reflash/v1/down/+/answer',
      'reflash/v1/down/d1/#',
      'reflash/v1/up/#',
      'fw/#',
      'fw/d1',
      '$SYS/#',
    ]
    const shared = ['$share/g/#', '$share/g/reflash/v1/up/+/check-in', `a${'/a'.repeat(200)}`, 'x'.repeat(60_000), 'undefined/d2', '']
    const raw = await attacker()
    let expected = connackBytes
    for (const filter of [...filters, ...shared.slice(0, 2)]) {
      raw.socket.write(subscribePacket(filter))
      expected += 5
      // SUBACK with the return code "failure" (MQTT 3.1.1, 3.9.3).
      expect((await heardBytes(raw, expected)).at(-1), filter).toBe(0x80)
    }
    await honest('beside a device that listens')
    await transport.announce('d1', { version: '1.1.0', size: 1 })
    await honest('once more')
    expect(raw.heard().length).toBe(expected)
    raw.socket.destroy()
    for (const filter of shared.slice(2)) {
      const other = await attacker()
      other.socket.write(subscribePacket(filter))
      other.socket.end()
      await other.closed
      expect(other.heard().length, filter.slice(0, 20)).toBeLessThanOrEqual(connackBytes + 5)
    }
    onlyOf('d1')
  })

  test('ten thousand subscriptions and ten thousand topics of one device are no matter to others', async () => {
    const raw = await attacker()
    const packets = Array.from({ length: 20_000 }, (_, index) => {
      const instance = index.toString(16).padStart(8, '0')
      return index % 2 === 0
        ? subscribePacket(`reflash/v1/down/d1/${instance}`)
        : publishPacket(`reflash/v1/up/d2/agent/${instance}`, checkIn)
    })
    const flood = sendAll(raw.socket, packets)
    await honest('beside them')
    await flood
    raw.socket.destroy()
    onlyOf('d1')
  })

  test('a device that floods the server with questions keeps nobody waiting', async () => {
    const raw = await attacker()
    raw.socket.write(subscribePacket('reflash/v1/down/d2/#'))
    const questions = Array.from({ length: 20_000 }, (_, index) =>
      publishPacket('reflash/v1/up/d2/check-in', encodeCheckIn({ re: index + 1, state })),
    )
    const flood = sendAll(raw.socket, questions)
    await honest('beside a flood')
    await flood
    raw.socket.destroy()
    await honest('after a flood')
    onlyOf('d1', 'd2')
  })

  test('nobody ends the connection of another by its client id', async () => {
    const id = 'a client id that everybody knows'
    const victim = rawConnection(broker.url)
    victim.socket.write(connectPacket(id, 'd1', tokenOf('d1')))
    await heardBytes(victim, connackBytes)
    const thief = await attacker(id)
    // PINGREQ, and its answer.
    victim.socket.write(Uint8Array.of(0xc0, 0))
    expect([...(await heardBytes(victim, connackBytes + 2)).subarray(connackBytes)]).toEqual([0xd0, 0])
    // The device itself, which comes back before the broker has noticed that it had left, is let in.
    const again = rawConnection(broker.url)
    again.socket.write(connectPacket(id, 'd1', tokenOf('d1')))
    await heardBytes(again, connackBytes)
    await victim.closed
    for (const { socket } of [thief, again]) socket.destroy()
  })
})
