import { type Authenticator, anonymousDevices, isOtaError, tokenDevices } from '@reflash/core'
import { type HttpTransportOptions, httpTransport } from '@reflash/transport-http'
import { describe, expect, test } from 'vitest'
import { testCertificate } from './certificate.ts'
import { fakeGateway } from './fake-gateway.ts'
import { eventually, fileOf, patterned, started } from './started.ts'
import { get, post, wire } from './wire.ts'

const codeOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return isOtaError(error) ? `${error.code}: ${error.message}` : String(error)
  }
  return 'nothing thrown'
}

describe('options', () => {
  test.each<[string, HttpTransportOptions, RegExp]>([
    ['a port alone', { listen: '8080' }, /^INVALID_OPTION: listen: expected host:port/],
    ['a port beyond 65535', { listen: '127.0.0.1:65536' }, /listen/],
    ['a URL', { listen: 'http://127.0.0.1:80' }, /listen/],
    ['no dialect', { dialects: [] }, /dialects: expected at least one/],
    ['an unknown dialect', { dialects: ['dmf' as 'native'] }, /dialects: expected native, otaflux/],
    ['a dialect with the name of a property', { dialects: ['constructor' as 'native'] }, /dialects/],
    ['the same dialect twice', { dialects: ['native', 'native'] }, /nothing thrown/],
    ['a prefix with a slash at its end', { prefix: '/ota/' }, /prefix/],
    ['a prefix without a slash', { prefix: 'ota' }, /prefix/],
    ['a base URL with a query', { baseUrl: 'https://ota.example/?a' }, /baseUrl/],
    ['a base URL of another scheme', { baseUrl: 'ftp://ota.example' }, /baseUrl/],
    ['an unknown limit', { limits: { most: 1 } as object }, /limits: expected some of .*; found "most"/],
    ['a limit that every object has', { limits: { toString: 1 } as object }, /limits: expected some of .*; found "toString"/],
    ['limits that are none', { limits: null as unknown as object }, /limits: expected an object/],
    ['a dialect that is none', { dialects: [null as unknown as 'native'] }, /dialects: expected native, otaflux/],
    ['a prefix in a list', { prefix: ['/ota'] as unknown as string }, /prefix: expected/],
    ['TLS that is none', { tls: 5 as unknown as { cert: string; key: string } }, /tls: expected/],
    ['an address that cannot become text', { listen: { toString: null } as unknown as string }, /listen: expected .*, found object/],
    ['an endless address', { listen: '['.repeat(20_000) }, /^.{0,300}$/],
    ['an infinite limit', { limits: { maxConnections: Number.POSITIVE_INFINITY } }, /limits.maxConnections: expected a whole number/],
    ['no time for a request', { limits: { requestTimeoutMs: 0 } }, /limits.requestTimeoutMs/],
    ['less time for a request than for its head', { limits: { requestTimeoutMs: 1000 } }, /limits.headersTimeoutMs: expected at most/],
    ['TLS without a key', { tls: { cert: 'x', key: '' } }, /tls: expected cert, key/],
    ['TLS with what is no certificate', { tls: { cert: 'x', key: 'y' } }, /tls: expected cert, key/],
  ])('with %s are refused at once', (_name, options, message) => {
    expect(codeOf(() => httpTransport(options))).toMatch(message)
  })

  test('are not changed, and the plugin is frozen', () => {
    const options = Object.freeze({ limits: Object.freeze({ ranges: 4 }), dialects: Object.freeze(['native'] as const) })
    const transport = httpTransport(options)
    expect(Object.isFrozen(transport)).toBe(true)
    expect(transport).toMatchObject({ kind: 'transport', name: 'http', spec: 0 })
  })

  test('choose the dialects that are spoken', async () => {
    const { url } = await started({ dialects: ['native'] })
    const client = await wire(url)
    client.send(get('/version?device=d1'))
    expect((await client.answer()).status).toBe(404)
    client.send(get('/health'))
    expect((await client.answer()).status).toBe(200)
    client.close()
  })

  test('take a dialect of your own', async () => {
    const refuse = () => ({ status: 418, headers: ['Content-Length', '0'], length: 0 })
    const { url, records } = await started({
      dialects: [
        {
          name: 'mine',
          routes: ({ admit }) => [
            {
              name: 'mine.hello',
              method: 'GET',
              path: '/hello/:name',
              async answer(request, [name = '']) {
                const { deviceId } = await admit(request, name)
                return { status: 200, headers: ['Content-Length', String(deviceId.length)], body: deviceId, length: deviceId.length }
              },
              refuse,
            },
            {
              name: 'mine.broken',
              method: 'GET',
              path: '/broken',
              answer: () => ({ status: 200, headers: ['A', 'b\nc'], body: 'x', length: 1 }),
              refuse,
            },
            { name: 'mine.bad', method: 'GET', path: '/bad', answer: () => Promise.reject(new Error('no')), refuse },
          ],
        },
      ],
    })
    const client = await wire(url)
    client.send(get('/hello/d1'))
    expect((await client.answer()).body.toString()).toBe('d1')
    client.send(get('/bad'))
    expect((await client.answer()).status).toBe(418)
    client.send(get('/broken'))
    expect((await client.answer()).status).toBe(500)
    expect(records.map(({ route, status, code }) => [route, status, code])).toEqual([
      ['mine.hello', 200, undefined],
      ['mine.bad', 418, undefined],
      ['mine.broken', 500, 'INTERNAL'],
    ])
    client.close()
  })
})

describe('listening', () => {
  const context = { gateway: fakeGateway(), authenticators: [anonymousDevices()] }

  test('on a port that is taken fails with the address', async () => {
    const { url } = await started()
    const listen = new URL(url).host
    await expect(httpTransport({ listen }).serve(context)).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      fault: 'unavailable',
      message: expect.stringContaining(listen),
    })
  })

  test('does not begin once aborted', async () => {
    await expect(httpTransport({ listen: '127.0.0.1:0' }).serve(context, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })

  test('works on IPv6 and says so in its address', async () => {
    await using serving = await httpTransport({ listen: '[::1]:0' }).serve(context)
    expect(serving.addresses[0]).toMatch(/^http:\/\/\[::1\]:\d+$/)
    expect((await fetch(`${serving.addresses[0]}/health`)).status).toBe(200)
  })

  test('may be done several times by one transport', async () => {
    const transport = httpTransport({ listen: '127.0.0.1:0' })
    await using first = await transport.serve(context)
    await using second = await transport.serve(context)
    expect(first.addresses).not.toEqual(second.addresses)
  })
})

describe('draining', () => {
  test('lets a running answer end, refuses new connections, and resolves then', async () => {
    const gateway = fakeGateway()
    let release: () => void = () => undefined
    const { checkIn } = gateway
    gateway.checkIn = async (...args) => {
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return checkIn(...args)
    }
    const { url, serving } = await started({ limits: { drainMs: 60_000 } }, gateway)
    const idle = await wire(url)
    idle.send(get('/health'))
    await idle.answer()
    const running = await wire(url)
    running.send(get('/version?device=d1'))
    const before = release
    await eventually(() => release !== before, 'the gateway is asked')
    const disposed = serving[Symbol.asyncDispose]()
    await idle.closed()
    await expect(wire(url)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    release()
    expect((await running.answer()).headers.connection).toBe('close')
    await Promise.all([disposed, running.closed(), serving[Symbol.asyncDispose]()])
  })

  test('closes the connection of a download that had begun before, once it is whole', async () => {
    const bytes = patterned(8 * 1024 * 1024)
    const { url, serving, gateway } = await started({ limits: { drainMs: 60_000 } }, fakeGateway({ bytes }))
    const client = await wire(url)
    client.socket.pause()
    client.send(get('/firmware?device=d1'))
    await eventually(() => gateway.calls.length === 1, 'the image is read')
    const disposed = serving[Symbol.asyncDispose]()
    client.socket.resume()
    expect((await client.answer()).body.equals(bytes)).toBe(true)
    await client.closed()
    await disposed
  })

  test('does not cut an answer that has ended and still waits to be written', async () => {
    const bytes = patterned(8 * 1024 * 1024)
    const { url, serving, gateway } = await started({ limits: { drainMs: 60_000 } }, fakeGateway({ bytes }))
    const clients = await Promise.all(Array.from({ length: 8 }, () => wire(url)))
    for (const client of clients) {
      client.socket.pause()
      client.send(get('/firmware?device=d1'))
    }
    await eventually(() => gateway.calls.length === clients.length, 'every image is read')
    const disposed = serving[Symbol.asyncDispose]()
    // Read slowly, so that every answer ends long before its last byte is with the kernel.
    for (const client of clients) {
      const slowly = setInterval(() => {
        client.socket.resume()
        setImmediate(() => client.socket.pause())
      }, 2)
      client.socket.once('close', () => clearInterval(slowly))
    }
    for (const client of clients) expect((await client.answer()).body.equals(bytes)).toBe(true)
    await disposed
  })

  test('cuts what is not done when its time is over, and frees the buffers', async () => {
    const bytes = patterned(32 * 1024 * 1024)
    const { url, serving, records } = await started({ limits: { drainMs: 50 } }, fakeGateway({ bytes, path: fileOf(bytes), form: 'file' }))
    const client = await wire(url)
    client.send(get('/firmware?device=d1'))
    await new Promise((resolve) => client.socket.once('readable', resolve))
    // Only now: a socket that lost its last listener for 'readable' flows again, and could have all of it in time.
    client.socket.pause()
    await serving[Symbol.asyncDispose]()
    await eventually(() => records.length === 1, 'it is recorded')
    expect(records[0]).toMatchObject({ cut: true, route: 'otaflux.firmware' })
    client.close()
  })
})

describe('authentication', () => {
  const authorised = { Authorization: 'Bearer secret-1' }

  test('knows a device by its token, and refuses another token, another scheme and none with 401 and a challenge', async () => {
    const { url, gateway, records } = await started({}, fakeGateway(), [tokenDevices({ d1: 'secret-1' })])
    const client = await wire(url)
    client.send(post('/v1/devices/d1/check-in', '{}', authorised))
    expect((await client.answer()).status).toBe(200)
    client.send(post('/v1/devices/d1/check-in', '{}', { Authorization: 'bearer   secret-1' }))
    expect((await client.answer()).status).toBe(200)
    for (const headers of [
      { Authorization: 'Bearer secret-2' },
      { Authorization: 'Basic c2VjcmV0LTE=' },
      { Authorization: 'Bearer ' },
      {},
    ]) {
      client.send(post('/v1/devices/d1/check-in', '{}', headers))
      const answer = await client.answer()
      expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, 'Bearer realm="reflash"'])
      expect(JSON.parse(answer.body.toString()).code).toBe('NOT_AUTHENTICATED')
    }
    expect(gateway.calls).toHaveLength(2)
    expect(JSON.stringify(records)).not.toContain('secret')
    client.close()
  })

  test('asks the authenticators in their order, and the first that knows decides', async () => {
    const asked: string[] = []
    const authenticator = (name: string, deviceId: string | undefined): Authenticator => ({
      kind: 'authenticator',
      name,
      spec: 0,
      authenticate: async ({ claimedId, token, peer }) => {
        asked.push(`${name} ${claimedId} ${token} ${peer}`)
        return deviceId === undefined ? undefined : { deviceId, by: 'token' }
      },
    })
    const { url } = await started({}, fakeGateway(), [authenticator('a', undefined), authenticator('b', 'other'), authenticator('c', 'd1')])
    const client = await wire(url)
    client.send(post('/v1/devices/d1/check-in', '{}', authorised))
    const answer = await client.answer()
    expect([answer.status, JSON.parse(answer.body.toString()).code]).toEqual([403, 'NOT_YOUR_DEVICE'])
    expect(asked).toEqual(['a d1 secret-1 127.0.0.1', 'b d1 secret-1 127.0.0.1'])
    client.close()
  })

  test('fails closed where an authenticator throws', async () => {
    const broken: Authenticator = {
      kind: 'authenticator',
      name: 'broken',
      spec: 0,
      authenticate: () => {
        throw new Error('database')
      },
    }
    const { url, gateway, causes } = await started({}, fakeGateway(), [broken, anonymousDevices()])
    const client = await wire(url)
    client.send(post('/v1/devices/d1/check-in', '{}'))
    const answer = await client.answer()
    expect([answer.status, answer.body.toString()]).toEqual([500, '{"code":"INTERNAL","message":"internal error"}'])
    expect(gateway.calls).toEqual([])
    expect(causes).toEqual([new Error('database')])
    client.close()
  })

  test('comes before the body, so that a stranger cannot make the server read one', async () => {
    const { url } = await started({}, fakeGateway(), [tokenDevices({ d1: 'secret-1' })])
    const client = await wire(url)
    client.send(get('/v1/devices/d1/check-in', { 'Content-Length': '1000000000', 'Content-Type': 'application/json' }, 'POST'))
    const answer = await client.answer()
    expect([answer.status, answer.headers.connection]).toEqual([401, 'close'])
    await client.closed()
  })

  test('hands a verified client certificate over, and not one that another authority signed', async () => {
    const authority = testCertificate('authority')
    const device = testCertificate('d1', authority)
    const stranger = testCertificate('d1', testCertificate('authority'))
    const server = testCertificate('localhost')
    const seen: (Uint8Array | undefined)[] = []
    const byCertificate: Authenticator = {
      kind: 'authenticator',
      name: 'mtls',
      spec: 0,
      authenticate({ certificate, claimedId = '' }) {
        seen.push(certificate)
        return certificate === undefined ? undefined : { deviceId: claimedId, by: 'mtls' }
      },
    }
    const tls = { cert: server.cert, key: server.key, clientCa: authority.cert }
    const { url } = await started({ tls }, fakeGateway(), [byCertificate])
    const statuses: number[] = []
    for (const client of [device, stranger, undefined]) {
      const shown = client === undefined ? {} : { cert: client.cert, key: client.key }
      const connection = await wire(url, { ca: server.cert, ...shown })
      connection.send(get('/version?device=d1'))
      statuses.push((await connection.answer()).status)
      connection.close()
    }
    expect(statuses).toEqual([200, 401, 401])
    expect(seen.map((certificate) => certificate && Buffer.from(certificate).equals(device.der))).toEqual([true, undefined, undefined])
  })

  test('answers a device whose certificate another authority signed, however long its authenticator thinks', async () => {
    const server = testCertificate('localhost')
    const stranger = testCertificate('d1', testCertificate('authority'))
    const slow: Authenticator = {
      ...anonymousDevices(),
      authenticate: async ({ certificate }) => {
        for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
        return certificate === undefined ? undefined : { deviceId: 'd1', by: 'mtls' }
      },
    }
    const tls = { cert: server.cert, key: server.key, clientCa: testCertificate('authority').cert }
    const { url, records } = await started({ tls }, fakeGateway(), [slow])
    const connection = await wire(url, { ca: server.cert, cert: stranger.cert, key: stranger.key })
    connection.send(get('/v1/devices/d1/offers/7/images/app'))
    expect(await connection.answer()).toMatchObject({ status: 401, headers: { connection: 'close' } })
    connection.close()
    expect(records).toMatchObject([{ route: 'native.image', status: 401 }])
  })
})

describe('records', () => {
  test('say what happened in words that do not grow with what strangers send', async () => {
    const bytes = patterned(1000)
    const { url, records } = await started({}, fakeGateway({ bytes }))
    const client = await wire(url)
    client.send(get('/v1/devices/d1/offers/7/images/app', { Authorization: 'Bearer hidden', Range: 'bytes=0-9' }))
    await client.answer()
    client.send(get('/x', {}, 'PROPFIND'))
    await client.answer()
    await eventually(() => records.length === 2, 'both are recorded')
    expect(records).toEqual([
      { method: 'GET', route: 'native.image', status: 206, durationMs: expect.any(Number), bytes: 10, deviceId: 'd1' },
      { method: 'OTHER', route: 'none', status: 404, durationMs: expect.any(Number), bytes: expect.any(Number), code: 'UNKNOWN_PATH' },
    ])
    expect(JSON.stringify(records)).not.toContain('hidden')
    client.close()
  })

  test('that fail to be written do not stop the service', async () => {
    const onWarning = new Promise((resolve) => process.once('warning', resolve))
    const { url } = await started({
      onRequest: () => {
        throw new Error('disk full')
      },
    })
    const client = await wire(url)
    client.send(get('/health'))
    expect((await client.answer()).status).toBe(200)
    expect(await onWarning).toMatchObject({ message: 'disk full' })
    client.close()
  })
})
