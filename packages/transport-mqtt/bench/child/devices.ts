import { once } from 'node:events'
import { connectAsync } from 'mqtt'
import { mqttClient } from '../../src/client/index.ts'

// All devices of one measurement: they connect, say so, and take their images when they are told to.

const [, , mode, url = '', count = '1', size = '1'] = process.argv
const [devices, imageBytes] = [Number(count), Number(size)]
const ids = Array.from({ length: devices }, (_, index) => `d${index}`)

async function bare(): Promise<() => Promise<void>> {
  const all = Promise.withResolvers<void>()
  let left = devices
  const clients = await Promise.all(
    ids.map(async (id) => {
      const client = await connectAsync(url, { protocolVersion: 5, clean: true })
      let received = 0
      client.on('message', (_, payload) => {
        received += payload.length
        if (received < imageBytes) return
        left -= 1
        if (left === 0) all.resolve()
      })
      await client.subscribeAsync(`bare/${id}`, { qos: 0 })
      return client
    }),
  )
  return async () => {
    await all.promise
    setImmediate(() => void Promise.all(clients.map((client) => client.endAsync())))
  }
}

async function reflash(): Promise<() => Promise<void>> {
  const offered = await Promise.all(
    ids.map(async (deviceId, index) => {
      const client = mqttClient({ url, deviceId, token: `token-${index}` })
      const { offer } = await client.checkIn({ model: 'board', installed: { version: '1.0.0' } })
      const component = offer?.components[0]
      if (offer === undefined || component === undefined) throw new Error('expected an offer')
      return { client, offer, component }
    }),
  )
  return async () => {
    await Promise.all(
      offered.map(async ({ client, offer, component }) => {
        let received = 0
        for await (const bytes of client.download(offer, component)) received += bytes.length
        if (received !== imageBytes) throw new Error(`expected ${imageBytes} bytes, found ${received}`)
      }),
    )
    setImmediate(() => void Promise.all(offered.map(({ client }) => client.close())))
  }
}

const take = await (mode === 'bare' ? bare() : reflash())
process.send?.('ready')
await once(process, 'message')
await take()
process.send?.('done')
