import { crc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { testCertificate } from '../../certificate.ts'
import { fakeGateway, idle, offerOf } from '../../fake-gateway.ts'
import { eventually, fileOf, patterned, started } from '../../started.ts'
import { wire } from '../../wire.ts'
import { otafluxDevice } from './otaflux-device.ts'

const server = testCertificate('localhost')
const kinds = [
  ['plain TCP', {}],
  ['TLS 1.3', { tls: { cert: server.cert, key: server.key } }],
] as const

describe.each(kinds)('the published device client over %s', (_name, options) => {
  test.each([10, 11, 12, 13, 4096, 1_000_003])('updates with an image of %i bytes', async (size) => {
    const bytes = patterned(size)
    const { url, gateway } = await started(options, fakeGateway({ bytes, path: fileOf(bytes), form: size % 2 === 0 ? 'memory' : 'file' }))
    const result = await otafluxDevice(url, 'sensor-1', '1.0.0')
    expect(result).toMatchObject({ version: '1.1.0', crc32: crc32(bytes), size })
    expect(result.flash?.subarray(0, size).equals(bytes)).toBe(true)
    expect(result.flash?.subarray(size).every((byte) => byte === 0xff)).toBe(true)
    await eventually(() => gateway.calls.at(-1)?.name === 'sent', 'the gateway hears that the image was sent')
    expect(gateway.calls.map(({ name }) => name)).toEqual(['checkIn', 'read', 'sent'])
    expect(gateway.calls[0]?.args[2]).toMatchObject({ reports: false })
  })

  test('gets head and body of /version in one piece of less than 1024 bytes', async () => {
    const { url } = await started(options)
    expect((await otafluxDevice(url, 'sensor-1', '9.0.0')).reads).toBe(1)
  })

  test('stays as it is where its version is not lower', async () => {
    const { url, gateway } = await started(options)
    expect((await otafluxDevice(url, 'sensor-1', '1.1.0')).flash).toBeUndefined()
    expect(gateway.calls.map(({ name }) => name)).toEqual(['checkIn'])
  })

  test('is not left waiting where there is no firmware', async () => {
    const gateway = fakeGateway()
    gateway.answer = idle
    const { url } = await started(options, gateway)
    await expect(otafluxDevice(url, 'sensor-1', '1.0.0')).rejects.toThrow('the connection ended')
  })
})

test('the longest version still fits in what the client reads', async () => {
  const gateway = fakeGateway()
  gateway.answer = { offer: offerOf(gateway.image.bytes, `1.1.0-rc.1+${'b'.repeat(245)}`), pollAfterMs: 1, because: [] }
  const { url } = await started({}, gateway)
  expect((await otafluxDevice(url, 'sensor-1', '1.0.0')).reads).toBe(1)
})

test('the answer to /version has exactly the bytes of OtaFlux in its body, and its length', async () => {
  const { url, gateway } = await started()
  const client = await wire(url)
  client.send('\r\nGET /version?device=d HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n')
  const answer = await client.answer()
  expect(answer.body.toString()).toBe(`1.1.0\n${crc32(gateway.image.bytes)}\n1000`)
  expect(answer.headers).toMatchObject({
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(answer.body.length),
    connection: 'keep-alive',
  })
  expect(answer.headers).not.toHaveProperty('transfer-encoding')
  expect(client.pieces).toEqual([answer.head.length + answer.body.length])
  client.close()
})

test('a leading CRLF is tolerated before each request of a connection', async () => {
  const { url } = await started()
  const client = await wire(url)
  for (let round = 0; round < 3; round++) {
    client.send('\r\nGET /version?device=d HTTP/1.1\r\nHost: h\r\n\r\n')
    expect((await client.answer()).status).toBe(200)
  }
  client.send('\r\nGET /version?device=d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  expect((await client.answer()).headers.connection).toBe('close')
  await client.closed()
})

test('a whole image that was cut is not counted as sent', async () => {
  const bytes = patterned(32 * 1024 * 1024)
  const { url, gateway, records } = await started({}, fakeGateway({ bytes }))
  const client = await wire(url)
  client.socket.pause()
  client.send('GET /firmware?device=d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
  await eventually(() => gateway.calls.length === 1, 'the gateway is read')
  client.close()
  await eventually(() => records.length === 1, 'the request is recorded')
  expect(records[0]).toMatchObject({ route: 'otaflux.firmware', cut: true, status: 200 })
  expect(gateway.calls.map(({ name }) => name)).toEqual(['read'])
})

test('a part of an image is not counted as the whole', async () => {
  const { url, gateway, records } = await started()
  const client = await wire(url)
  client.send('GET /firmware?device=d HTTP/1.1\r\nHost: h\r\nRange: bytes=0-998\r\nConnection: close\r\n\r\n')
  await client.closed()
  await eventually(() => records.length === 1, 'the request is recorded')
  expect(gateway.calls.map(({ name }) => name)).toEqual(['read'])
})
