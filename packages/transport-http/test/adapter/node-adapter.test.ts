import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { anonymousDevices } from '@reflash/core'
import { httpHandler } from '@reflash/transport-http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createNodeAdapter, type NodeAdapter } from '../../src/adapter/node-adapter.ts'
import { checkServiceOptions, createHttpService } from '../../src/http-service.ts'
import type { HttpLimits } from '../../src/limits.ts'
import type { RequestRecord } from '../../src/request-record.ts'
import { type FakeGateway, fakeGateway } from '../fake-gateway.ts'
import { eventually, fileOf, patterned, seeded } from '../started.ts'
import { get, wire } from '../wire.ts'

const image = '/v1/devices/d1/offers/7/images/app'
const mib = 1024 * 1024

interface Adapted {
  readonly url: string
  readonly adapter: NodeAdapter
  readonly records: RequestRecord[]
}

async function adapted(gateway: FakeGateway, limits: Partial<HttpLimits> = {}): Promise<Adapted> {
  const records: RequestRecord[] = []
  const options = checkServiceOptions({ limits, onRequest: (record) => records.push(record) })
  const adapter = createNodeAdapter(createHttpService(options, { gateway, authenticators: [anonymousDevices()] }))
  const server = createServer(adapter.listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, adapter, records }
}

describe('buffers', () => {
  test('are all free again after clients went away in the middle, at once, or before their turn', async () => {
    const bytes = patterned(6 * mib)
    const { url, adapter } = await adapted(fakeGateway({ bytes, path: fileOf(bytes), form: 'file' }), { bufferBytes: mib })
    const below = seeded(12)
    for (let round = 0; round < 3; round++) {
      const clients = await Promise.all(Array.from({ length: 12 }, () => wire(url)))
      for (const client of clients) {
        client.socket.pause()
        // Several at once: the answers wait for each other.
        client.send(Array.from({ length: 1 + below(3) }, () => get(image)).join(''))
      }
      await eventually(() => adapter.pool.takenBytes > 0, 'buffers are in use')
      for (const client of clients) {
        if (below(2) === 0) client.socket.resume()
        setTimeout(() => client.close(), below(20))
      }
      await Promise.all(clients.map((client) => client.closed()))
    }
    await eventually(() => adapter.pool.takenBytes === 0, 'every buffer is free')
    expect(adapter.pool.bytes).toBeLessThanOrEqual(mib)
    const client = await wire(url)
    client.send(get(image))
    expect((await client.answer()).body.equals(bytes)).toBe(true)
    client.close()
  })

  test('are bounded together, and every reader gets its image all the same', async () => {
    const bytes = patterned(mib + 17)
    const { url, adapter } = await adapted(fakeGateway({ bytes, path: fileOf(bytes), form: 'file' }), { bufferBytes: 256 * 1024 })
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, adapter.pool.bytes)
    }, 1)
    const whole = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await wire(url)
        client.send(get(image))
        const { body } = await client.answer()
        client.close()
        return body.equals(bytes)
      }),
    )
    clearInterval(watch)
    expect(whole).toEqual(Array.from({ length: 20 }, () => true))
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(256 * 1024)
  })
})

describe('bodies that are not what was promised', () => {
  test('a file that is gone is answered 503, before anything was sent', async () => {
    const { url, records } = await adapted(fakeGateway({ bytes: patterned(1000), path: '/nonexistent/image', form: 'file' }))
    const client = await wire(url)
    client.send(get(image))
    const answer = await client.answer()
    expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([503, { code: 'IMAGE_UNREADABLE', message: 'try again later' }])
    expect(records[0]).toMatchObject({ status: 503, code: 'IMAGE_UNREADABLE', route: 'native.image' })
    client.close()
  })

  test('and the OtaFlux dialect says so in its own words', async () => {
    const { url } = await adapted(fakeGateway({ bytes: patterned(1000), path: '/nonexistent/image', form: 'file' }))
    const client = await wire(url)
    client.send(get('/firmware?device=d1'))
    const answer = await client.answer()
    expect([answer.status, answer.headers['reflash-code'], answer.body.toString()]).toEqual([503, 'IMAGE_UNREADABLE', 'try again later'])
  })

  test('a file that is shorter is cut, and never filled up', async () => {
    const bytes = patterned(200_000)
    const { url, adapter } = await adapted(fakeGateway({ bytes, path: fileOf(bytes.subarray(0, 150_000)), form: 'file' }))
    const client = await wire(url)
    client.send(get(image))
    const received = await client.closed()
    expect(received.subarray(received.indexOf('\r\n\r\n') + 4).length).toBeLessThanOrEqual(150_000)
    expect(adapter.pool.takenBytes).toBe(0)
  })

  test.each([
    ['that ends early', [100, 100], undefined],
    ['that goes on', [500, 600], undefined],
    ['that fails in the middle', [100, 100], new Error('disk')],
  ] as const)('a stream %s is cut at the last good byte', async (_name, sizes, failure) => {
    const gateway = fakeGateway({ bytes: patterned(1000) })
    const { read } = gateway
    gateway.read = async (...args) => ({
      ...(await read(...args)),
      body: (async function* () {
        for (const size of sizes) yield patterned(size)
        if (failure !== undefined) throw failure
      })(),
    })
    const { url, records } = await adapted(gateway)
    const client = await wire(url)
    client.send(get(image))
    const received = await client.closed()
    expect(received.subarray(received.indexOf('\r\n\r\n') + 4).length).toBeLessThan(1000)
    expect(records[0]).toMatchObject({ status: 200, cut: true })
  })

  test('a stream that fails at once is answered by its error', async () => {
    const gateway = fakeGateway({ bytes: patterned(1000) })
    const { read } = gateway
    gateway.read = async (...args) => ({
      ...(await read(...args)),
      // biome-ignore lint/correctness/useYield: it fails before it has anything to yield
      body: (async function* (): AsyncGenerator<Uint8Array> {
        throw new Error('disk')
      })(),
    })
    const { url } = await adapted(gateway)
    const client = await wire(url)
    client.send(get(image))
    expect((await client.answer()).status).toBe(500)
    client.close()
  })
})

test('a stream is closed when its reader goes away', async () => {
  const gateway = fakeGateway({ bytes: patterned(16 * mib) })
  const { read } = gateway
  let closed = false
  gateway.read = async (...args) => ({
    ...(await read(...args)),
    body: (async function* () {
      try {
        for (let piece = 0; piece < 16; piece++) yield patterned(mib)
      } finally {
        closed = true
      }
    })(),
  })
  const { url } = await adapted(gateway)
  const client = await wire(url)
  client.socket.pause()
  client.send(get(image))
  await eventually(() => gateway.calls.length === 1, 'it is read')
  client.close()
  await eventually(() => closed, 'the stream is closed')
})

test('mounted in another server, it leaves the paths that are not its own to the next', async () => {
  const { node, handles } = httpHandler({ gateway: fakeGateway(), authenticators: [anonymousDevices()] }, { prefix: '/ota' })
  const server = createServer((incoming, outgoing) => node(incoming, outgoing, () => outgoing.end('mine')))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect(await (await fetch(`${url}/health`)).text()).toBe('mine')
  expect((await fetch(`${url}/ota/health`)).status).toBe(200)
  expect([handles('/ota/health'), handles('/health')]).toEqual([true, false])
})
