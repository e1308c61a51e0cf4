import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { mqttTransport } from '../src/index.ts'
import { gatewayOf } from './support/world.ts'

/** A broker with MQTT 5 that lets everybody in, answers each subscription with one reason code, and says nothing else. */
async function brokerThatAnswers(reasonCode: number): Promise<AsyncDisposable & { readonly url: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      if (bytes[0] === 0x10) socket.write(Uint8Array.of(0x20, 3, 0, 0, 0))
      // The client sends one filter in each packet, and packets of under 128 bytes.
      for (let at = 0; at < bytes.length; at += 2 + (bytes[at + 1] as number)) {
        if (bytes[at] === 0x82) socket.write(Uint8Array.of(0x90, 4, bytes[at + 2] as number, bytes[at + 3] as number, 0, reasonCode))
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `mqtt://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

// Each ends though its broker never answers the goodbye.
test.each([
  [0x87, 'BROKER_REFUSED', 'rejected'],
  [0x9e, 'BROKER_UNSUPPORTED', 'unsupported'],
])(
  'a subscription that a broker refuses with reason code %i is told as %s',
  async (reasonCode, code, fault) => {
    await using broker = await brokerThatAnswers(reasonCode)
    const gateway = gatewayOf()
    const transport = mqttTransport({ url: broker.url, share: 'replicas', limits: { connectMs: 2_000 } })
    const serving = transport.serve({ gateway, authenticators: gateway.composition.authenticators })
    await expect(serving).rejects.toMatchObject({ code, fault })
    await transport.close()
  },
  30_000,
)
