import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EmbeddedBroker, embeddedBroker } from '../src/broker/index.ts'
import { mqttClient } from '../src/client/index.ts'
import { brokerDevices, mqttTransport } from '../src/index.ts'
import { boardOf, gatewayOf, options, tokenOf, updateOverMqtt } from './support/world.ts'

describe('pull over the embedded broker', () => {
  let broker: EmbeddedBroker
  beforeAll(async () => {
    broker = await embeddedBroker({ listen: '127.0.0.1:0', authenticators: options({ devices: ['d1', 'd2'] }).authenticators })
  })
  afterAll(() => broker[Symbol.asyncDispose]())

  test('a device that has MQTT only updates and confirms', async () => {
    const gateway = gatewayOf()
    const transport = mqttTransport(broker.server)
    await using _ = await transport.serve({ gateway, authenticators: [brokerDevices()] })
    const client = mqttClient({ url: broker.url, version: '3.1.1', deviceId: 'd1', username: 'd1', password: tokenOf('d1') })
    expect(await updateOverMqtt(client, boardOf('d1'))).toBe('UP_TO_DATE 1.1.0 confirmed')
    await client.close()
    await transport.close()
    await gateway.composition.close()
  })
})
