import { setTimeout as pause } from 'node:timers/promises'
import { createEngine, tokenDevices } from '@reflash/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type EmbeddedBroker, embeddedBroker } from '../../src/broker/index.ts'
import { packetGuard } from '../../src/broker/packet-guard.ts'
import { mqttClient } from '../../src/client/index.ts'
import { brokerDevices, mqttTransport } from '../../src/index.ts'
import { connectPacket, publishPacket, rawConnection, subscribePacket } from '../support/raw-mqtt.ts'
import { boardOf, gatewayOf, options, tokenOf, updateOverMqtt } from '../support/world.ts'

const devices = ['d1', 'd2']
const authenticators = [tokenDevices(Object.fromEntries(devices.map((id) => [id, tokenOf(id)])))]
let broker: EmbeddedBroker

beforeEach(async () => {
  broker = await embeddedBroker({ listen: '127.0.0.1:0', authenticators })
})
afterEach(() => broker[Symbol.asyncDispose]())

const clientOf = (deviceId: string, more = {}) =>
  mqttClient({ url: broker.url, version: '3.1.1', deviceId, username: deviceId, password: tokenOf(deviceId), ...more })

describe('the embedded broker', () => {
  test('carries an update by pull', async () => {
    const gateway = gatewayOf()
    const transport = mqttTransport(broker.server)
    await transport.serve({ gateway, authenticators: [brokerDevices()] })
    const client = clientOf('d1')
    expect(await updateOverMqtt(client, boardOf('d1'))).toBe('UP_TO_DATE 1.1.0 confirmed')
    await client.close()
    await transport.close()
  })

  test('carries an update by push, to a device that the broker vouches for', async () => {
    const device = boardOf('d1')
    const client = clientOf('d1')
    await client.serveAgent({ port: device.port, activated: device.keep })
    const transport = mqttTransport({ ...broker.server, authenticators: [brokerDevices()] })
    const engine = createEngine({ ...options(), transports: [transport], lookAgainMs: 20 })
    expect(await engine.update({ id: 'd1', model: 'board' })).toMatchObject({ outcome: 'confirmed', version: '1.1.0' })
    await client.close()
    await engine.composition.close()
  })

  test('lets in who has the token of its device, and nobody else', async () => {
    const wrong = [
      { username: 'd1', password: tokenOf('d2') },
      { username: 'd9', password: tokenOf('d1') },
      { username: '$server', password: 'guessed' },
      { username: '../d1', password: tokenOf('d1') },
    ]
    for (const login of wrong) {
      const client = clientOf('d1', login)
      await expect(client.checkIn(), login.username).rejects.toMatchObject({ code: 'BROKER_REFUSED', fault: 'rejected' })
      await client.close()
    }
  })

  test('refuses a device the answers of another, which it is told as a refusal and not as a broken line', async () => {
    const client = clientOf('d1', { username: 'd2', password: tokenOf('d2') })
    await expect(client.checkIn()).rejects.toMatchObject({ code: 'BROKER_REFUSED', fault: 'rejected' })
    await client.close()
  })

  test('speaks MQTT 3.1.1 only, and a client that asks for 5 is told so', async () => {
    const client = clientOf('d1', { version: '5' })
    await expect(client.checkIn()).rejects.toMatchObject({ code: 'BROKER_UNSUPPORTED', fault: 'unsupported' })
    await client.close()
  })

  test('lets a device speak and hear for itself alone', async () => {
    const heard: string[] = []
    const gateway = gatewayOf()
    const transport = mqttTransport({ ...broker.server, onRecord: ({ deviceId }) => heard.push(deviceId) })
    await transport.serve({ gateway, authenticators: [brokerDevices()] })
    const login = connectPacket('raw-1', 'd2', tokenOf('d2'))
    const spy = rawConnection(broker.url)
    spy.socket.write(Buffer.concat([login, subscribePacket('reflash/v1/down/d1/#')]))
    const all = rawConnection(broker.url)
    all.socket.write(Buffer.concat([connectPacket('raw-2', 'd2', tokenOf('d2')), subscribePacket('#')]))
    const liar = rawConnection(broker.url)
    liar.socket.write(
      Buffer.concat([connectPacket('raw-3', 'd2', tokenOf('d2')), publishPacket('reflash/v1/up/d1/check-in', Buffer.from('{"re":1}'))]),
    )
    await liar.closed
    const kept = rawConnection(broker.url)
    kept.socket.write(
      Buffer.concat([
        connectPacket('raw-4', 'd2', tokenOf('d2')),
        publishPacket('reflash/v1/up/d2/check-in', Buffer.from('{"re":1}'), true),
      ]),
    )
    await kept.closed
    const client = clientOf('d1')
    await client.checkIn({ model: 'board', installed: { version: '1.0.0' } })
    expect(heard).toEqual(['d1'])
    await pause(20)
    for (const { socket, heard: bytes } of [spy, all]) {
      expect(bytes().includes('/answer')).toBe(false)
      socket.destroy()
    }
    await client.close()
    await transport.close()
  })

  test('ends a client whose packet says that it is far too long, before it comes, and serves others', async () => {
    const { socket, closed } = rawConnection(broker.url)
    socket.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4]))
    await closed
    const gateway = gatewayOf()
    const transport = mqttTransport(broker.server)
    await transport.serve({ gateway, authenticators: [brokerDevices()] })
    const client = clientOf('d1')
    expect((await client.checkIn({ model: 'board', installed: { version: '1.0.0' } })).offer?.version).toBe('1.1.0')
    await client.close()
    await transport.close()
  })

  test('says so where its address is taken, and ends twice', async () => {
    const taken = embeddedBroker({ listen: new URL(broker.url).host, authenticators })
    await expect(taken).rejects.toMatchObject({ code: 'BROKER_LISTEN_FAILED', fault: 'unavailable' })
    await Promise.all([broker[Symbol.asyncDispose](), broker[Symbol.asyncDispose]()])
  })
})

describe('the guard of packets', () => {
  test('finds the length of each packet, however the bytes are cut', () => {
    const packets = Buffer.concat([0, 1, 127, 128, 300, 1000].map((length) => publishPacket('t', Buffer.alloc(length))))
    for (let step = 1; step < 40; step++) {
      const isAllowed = packetGuard(1003)
      for (let at = 0; at < packets.length; at += step) expect(isAllowed(packets.subarray(at, at + step))).toBe(true)
      const isShort = packetGuard(1002)
      let passed = true
      for (let at = 0; at < packets.length && passed; at += step) passed = isShort(packets.subarray(at, at + step))
      expect(passed).toBe(false)
    }
  })

  test('refuses a length that does not end', () => {
    expect(packetGuard(1e9)(Uint8Array.of(0x30, 0x80, 0x80, 0x80, 0x80, 0x01))).toBe(false)
  })
})
