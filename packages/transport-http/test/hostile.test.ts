import { type Authenticator, anonymousDevices } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { fakeGateway } from './fake-gateway.ts'
import { eventually, fileOf, patterned, seeded, started } from './started.ts'
import { get, post, wire } from './wire.ts'

const checkIn = '/v1/devices/d1/check-in'
const fast = { checkIntervalMs: 10, headersTimeoutMs: 60, requestTimeoutMs: 120, keepAliveTimeoutMs: 50, idleTimeoutMs: 2000 }

describe('slow clients', () => {
  test('a head that comes byte by byte is answered 408 and closed', async () => {
    const { url, records } = await started({ limits: fast })
    const client = await wire(url)
    const drip = setInterval(() => client.send('X'), 5)
    client.send('GET /health HTTP/1.1\r\nHost: h\r\nX-Slow: ')
    expect((await client.closed()).toString()).toMatch(/^HTTP\/1.1 408 /)
    clearInterval(drip)
    expect(records).toMatchObject([{ route: 'malformed', status: 408, code: 'ERR_HTTP_REQUEST_TIMEOUT' }])
  })

  test('a connection that never says anything is closed', async () => {
    const { url } = await started({ limits: fast })
    await (await wire(url)).closed()
  })

  test('a body that comes byte by byte is cut, and its handler ends', async () => {
    const { url, records, gateway } = await started({ limits: fast })
    const client = await wire(url)
    client.send(get(checkIn, { 'Content-Length': '1000', 'Content-Type': 'application/json' }, 'POST'))
    const drip = setInterval(() => client.send('{'), 5)
    await client.closed()
    clearInterval(drip)
    await eventually(() => records.some(({ route }) => route === 'native.check-in'), 'it is recorded')
    expect(records.find(({ route }) => route === 'native.check-in')).toMatchObject({ code: 'REQUEST_CUT', cut: true })
    expect(gateway.calls).toEqual([])
  })

  test('a client that goes away before its body was asked for is recorded as gone, and its handler ends', async () => {
    let asked = false
    const slow: Authenticator = {
      ...anonymousDevices(),
      authenticate: async (_, { signal }) => {
        asked = true
        await new Promise((resolve) => signal.addEventListener('abort', () => setImmediate(resolve)))
        return { deviceId: 'd1', by: 'anonymous' }
      },
    }
    const { url, records, gateway } = await started({}, fakeGateway(), [slow])
    const client = await wire(url)
    client.send(get(checkIn, { 'Content-Length': '1000', 'Content-Type': 'application/json' }, 'POST'))
    await eventually(() => asked, 'it is asked who it is')
    client.close()
    await eventually(() => records.some(({ route }) => route === 'native.check-in'), 'it is recorded')
    expect(records.find(({ route }) => route === 'native.check-in')).toMatchObject({ status: 499, code: 'REQUEST_CUT', cut: true })
    expect(gateway.calls).toEqual([])
  })

  test('an idle connection is closed after its keep-alive time', async () => {
    const { url } = await started({ limits: fast })
    const client = await wire(url)
    client.send(get('/health'))
    expect((await client.answer()).status).toBe(200)
    await client.closed()
  })

  test.each(['memory', 'file', 'stream'] as const)(
    'a reader that stalls in the middle of an image (%s) is cut off and holds no buffer',
    async (form) => {
      const bytes = patterned(32 * 1024 * 1024)
      const limits = { stallTimeoutMs: 60, minBytesPerSecond: 2 ** 30 }
      const { url, records } = await started({ limits }, fakeGateway({ bytes, path: fileOf(bytes), form }))
      const client = await wire(url)
      client.socket.pause()
      client.send(get('/v1/devices/d1/offers/7/images/app'))
      await eventually(() => records.length === 1, 'it is cut')
      expect(records[0]).toMatchObject({ route: 'native.image', cut: true, status: 200 })
      expect(records[0]?.bytes).toBeLessThan(bytes.length)
      client.close()
    },
  )

  test('readers that take nothing and hold all the memory for buffers are cut once somebody waits for it', async () => {
    const bytes = patterned(32 * 1024 * 1024)
    const limits = { bufferBytes: 512 * 1024, pressedStallMs: 50 }
    const { url, records } = await started({ limits }, fakeGateway({ bytes, path: fileOf(bytes), form: 'file' }))
    const stalled = await Promise.all(Array.from({ length: 40 }, () => wire(url)))
    for (const client of stalled) {
      client.socket.pause()
      client.send(get('/v1/devices/d1/offers/7/images/app'))
      // One after another, so that each is taken for a fast reader as long as the kernel takes its bytes.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const client = await wire(url)
    client.send(get('/v1/devices/d2/offers/7/images/app'))
    expect((await client.answer()).body.length).toBe(bytes.length)
    expect(records.some(({ deviceId, cut }) => deviceId === 'd1' && cut === true)).toBe(true)
    expect(records.find(({ deviceId }) => deviceId === 'd2')).toMatchObject({ status: 200, bytes: bytes.length })
    for (const each of [...stalled, client]) each.close()
  })

  test('a reader that takes a little now and then is not cut while others wait', async () => {
    const bytes = patterned(8 * 1024 * 1024)
    const limits = { bufferBytes: 256 * 1024, pressedStallMs: 200 }
    const { url, records } = await started({ limits }, fakeGateway({ bytes, path: fileOf(bytes), form: 'file' }))
    const [slow, other] = [await wire(url), await wire(url)]
    slow.send(get('/v1/devices/d1/offers/7/images/app'))
    other.send(get('/v1/devices/d2/offers/7/images/app'))
    const pace = setInterval(() => (slow.socket.isPaused() ? slow.socket.resume() : slow.socket.pause()), 10)
    expect((await slow.answer()).body.length).toBe(bytes.length)
    expect((await other.answer()).body.length).toBe(bytes.length)
    clearInterval(pace)
    expect(records.filter(({ cut }) => cut === true)).toEqual([])
    for (const each of [slow, other]) each.close()
  })

  test('a gateway that never answers does not hold a connection for ever, and hears that it need not', async () => {
    const gateway = fakeGateway()
    let aborted = false
    gateway.checkIn = (_who, _reported, _evidence, options) =>
      new Promise((_resolve, reject) => {
        options?.signal?.addEventListener('abort', () => {
          aborted = true
          reject(options.signal?.reason)
        })
      })
    const { url } = await started({ limits: { idleTimeoutMs: 60 } }, gateway)
    const client = await wire(url)
    client.send(get('/version?device=d1'))
    await client.closed()
    await eventually(() => aborted, 'the gateway hears it')
  })
})

describe('large requests', () => {
  test('a head beyond its limit is answered 431', async () => {
    const { url, records } = await started()
    const client = await wire(url)
    client.send(get('/health', { 'X-Large': 'x'.repeat(9 * 1024) }))
    expect((await client.closed()).toString()).toMatch(/^HTTP\/1.1 431 /)
    expect(records).toMatchObject([{ route: 'malformed', status: 431 }])
  })

  test.each([
    ['that says its length', { 'Content-Length': String(50 * 1024 * 1024) }],
    ['that does not', { 'Transfer-Encoding': 'chunked' }],
  ])('a body %s is answered 413 and the connection closed, however much would come', async (_name, length) => {
    const { url, gateway } = await started()
    const client = await wire(url)
    client.send(get(checkIn, { 'Content-Type': 'application/json', ...length }, 'POST'))
    const piece = `4000\r\n${' '.repeat(0x4000)}\r\n`
    client.send(piece + piece)
    const answer = await client.answer()
    expect([answer.status, answer.headers.connection]).toEqual([413, 'close'])
    await client.closed()
    expect(gateway.calls).toEqual([])
  })

  test('a client that asks before it sends its body is told no without it', async () => {
    const { url } = await started()
    const client = await wire(url)
    client.send(get(checkIn, { 'Content-Length': '100000', Expect: '100-continue', 'Content-Type': 'application/json' }, 'POST'))
    expect((await client.answer()).status).toBe(413)
    await client.closed()
  })

  test('and one that may is told to go on', async () => {
    const { url } = await started()
    const client = await wire(url)
    client.send(get(checkIn, { 'Content-Length': '2', Expect: '100-continue', 'Content-Type': 'application/json' }, 'POST'))
    expect((await client.answer()).status).toBe(100)
    client.send('{}')
    expect((await client.answer()).status).toBe(200)
    client.close()
  })

  test('a small body that is refused does not cost the connection', async () => {
    const { url } = await started()
    const client = await wire(url)
    client.send(post('/nowhere', 'x'.repeat(1000)))
    expect((await client.answer()).status).toBe(404)
    client.send(get('/health'))
    expect((await client.answer()).status).toBe(200)
    client.close()
  })

  test('more connections than the limit are refused', async () => {
    const { url } = await started({ limits: { maxConnections: 2 } })
    const clients = [await wire(url), await wire(url), await wire(url)]
    await clients[2]?.closed()
    clients[0]?.send(get('/health'))
    expect((await clients[0]?.answer())?.status).toBe(200)
    for (const client of clients) client.close()
  })
})

describe('smuggling', () => {
  test.each([
    ['two lengths', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
    ['a length and chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n'],
    ['a coding that only looks like chunked', 'Transfer-Encoding: xchunked\r\n\r\n{}'],
    ['chunked not last', 'Transfer-Encoding: chunked, identity\r\n\r\n{}'],
    ['a space before the colon', 'Content-Length : 2\r\n\r\n{}'],
    ['a folded header', 'X: a\r\n b: c\r\nContent-Length: 2\r\n\r\n{}'],
    ['a signed length', 'Content-Length: +2\r\n\r\n{}'],
    ['a hexadecimal length', 'Content-Length: 0x2\r\n\r\n{}'],
    ['a bare line feed as end of line', 'Content-Length: 2\n\n{}'],
    ['a chunk size that is no number', 'Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n'],
    ['a null in a header', 'X: a\u0000b\r\nContent-Length: 2\r\n\r\n{}'],
  ])('with %s ends the connection, and what follows is not taken for a request', async (_name, rest) => {
    const { url, gateway } = await started()
    const client = await wire(url)
    client.send(`POST ${checkIn} HTTP/1.1\r\nHost: h\r\n${rest}GET /firmware?device=smuggled HTTP/1.1\r\nHost: h\r\n\r\n`)
    const bytes = (await client.closed()).toString()
    expect(bytes.match(/HTTP\/1\.1 \d+/g) ?? []).not.toContain('HTTP/1.1 200')
    expect(gateway.calls.filter(({ deviceId }) => deviceId === 'smuggled')).toEqual([])
  })

  test('a request without Host is refused', async () => {
    const { url } = await started()
    const client = await wire(url)
    client.send('GET /health HTTP/1.1\r\n\r\n')
    expect((await client.closed()).toString()).toMatch(/^HTTP\/1.1 400 /)
  })

  test('requests sent at once are answered in their order', async () => {
    const { url } = await started()
    const client = await wire(url)
    client.send(
      Buffer.concat([
        Buffer.from(get('/version?device=d1')),
        post(checkIn, '{}'),
        Buffer.from(get('/firmware?device=d1')),
        Buffer.from(get('/x')),
      ]),
    )
    const statuses: number[] = []
    for (let count = 0; count < 4; count++) statuses.push((await client.answer()).status)
    expect(statuses).toEqual([200, 200, 200, 404])
    client.close()
  })

  test.each([
    ['whose answers are awaited by nobody', false, true],
    ['whose answers are read', true, true],
    ['whose answers are read and come at once', true, false],
  ])('requests without end at once, %s, are cut, and few of them worked on', async (_name, reads, takesTime) => {
    const gateway = fakeGateway()
    const { checkIn: answered } = gateway
    let calls = 0
    // As a journal on a disk: the answer takes a turn of the event loop.
    gateway.checkIn = async (...args) => {
      calls += 1
      if (takesTime) await new Promise((resolve) => setImmediate(resolve))
      return answered(...args)
    }
    const { url, records } = await started({}, gateway)
    const client = await wire(url)
    if (!reads) client.socket.pause()
    client.send(Buffer.concat(Array.from({ length: 2_000 }, () => post(checkIn, '{}'))))
    client.socket.resume()
    await client.closed()
    expect(calls).toBe(17)
    expect(records.filter(({ code }) => code === 'TOO_MANY_AT_ONCE')).toMatchObject([{ route: 'malformed', status: 429, cut: true }])
  })

  test('requests that wait for their turn are bounded however they came', async () => {
    const gateway = fakeGateway()
    let calls = 0
    gateway.checkIn = async () => {
      calls += 1
      return new Promise(() => {})
    }
    const { url, records } = await started({}, gateway)
    const client = await wire(url)
    const drip = setInterval(() => client.send(post(checkIn, '{}')), 2)
    await client.closed()
    clearInterval(drip)
    expect(calls).toBe(17)
    expect(records[0]).toMatchObject({ route: 'malformed', status: 429, code: 'TOO_MANY_AT_ONCE', cut: true })
  })

  test('a request target in absolute form is answered as one in origin form', async () => {
    const { url } = await started()
    const client = await wire(url)
    for (const [target, status] of [
      ['http://other/health', 200],
      ['http://other', 404],
      ['*', 404],
    ] as const) {
      client.send(get(target))
      expect((await client.answer()).status, target).toBe(status)
    }
    client.close()
  })
})

test('1,000 mutated requests are answered or cut, and the server serves on', async () => {
  const { url, gateway, causes } = await started({ limits: fast })
  const below = seeded(80)
  const whole = [
    post(checkIn, '{"model":"a"}'),
    Buffer.from(get('/version?device=d1')),
    post('/v1/devices/d1/offers/7/report', '{"state":"failed"}'),
  ]
  const parts = [
    '\r\n',
    ':',
    ' ',
    '/',
    '%',
    'HTTP/1.1',
    '\u0000',
    'Content-Length: 9',
    'Transfer-Encoding: chunked',
    '?',
    '"',
    '{',
    '}',
    '\\u0000',
  ]
  for (let batch = 0; batch < 10; batch++) {
    const clients = await Promise.all(Array.from({ length: 100 }, () => wire(url)))
    for (const client of clients) {
      const bytes = Buffer.from(whole[below(whole.length)] as Buffer)
      const at = below(bytes.length)
      const choice = below(4)
      if (choice === 0) bytes[at] = below(256)
      const mutated =
        choice === 1
          ? bytes.subarray(0, at)
          : choice === 2
            ? Buffer.concat([bytes.subarray(0, at), Buffer.from(parts[below(parts.length)] as string), bytes.subarray(at)])
            : choice === 3
              ? Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(8))])
              : bytes
      client.socket.end(mutated)
    }
    await Promise.all(clients.map((client) => client.closed()))
  }
  expect(causes.filter((cause) => cause instanceof Error && !('fault' in cause))).toEqual([])
  const client = await wire(url)
  client.send(get('/version?device=d1'))
  expect((await client.answer()).status).toBe(200)
  client.close()
  expect(gateway.calls.length).toBeGreaterThan(50)
})
