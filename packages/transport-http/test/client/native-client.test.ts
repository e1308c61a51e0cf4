import { anonymousDevices, collect, isOtaError, type OtaError, tokenDevices } from '@reflash/core'
import { httpHandler } from '@reflash/transport-http'
import { type NativeClientOptions, type NativeComponent, nativeClient } from '@reflash/transport-http/client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readNativeAnswer } from '../../src/client/native-answer.ts'
import { testCertificate } from '../certificate.ts'
import { type FakeGateway, fakeGateway, idle, offerOf } from '../fake-gateway.ts'
import { eventually, fileOf, patterned, seeded, started } from '../started.ts'

const bytes = patterned(300_000)
const failure = async (promise: Promise<unknown>): Promise<OtaError> => {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (isOtaError(error)) return error
  throw error ?? new Error('nothing thrown')
}

function clientOf(options: NativeClientOptions) {
  const client = nativeClient({ sleep: () => Promise.resolve(), random: () => 0, ...options })
  onTestFinished(client.close)
  return client
}

/** A client whose requests end in a handler without any socket. */
function direct(
  gateway: FakeGateway,
  wrap: (fetch: (request: Request) => Promise<Response>) => (request: Request) => Promise<Response> = (f) => f,
) {
  const { fetch } = httpHandler({ gateway, authenticators: [anonymousDevices()] })
  return clientOf({ server: 'http://ota.example', deviceId: 'd1', fetch: wrap((request) => fetch(request)) })
}

const answering =
  (status: number, body: string | null = null, headers: Record<string, string> = {}) =>
  () =>
    Promise.resolve(new Response(body, { status, headers }))

describe.each([
  ['node:http', async (gateway: FakeGateway) => clientOf({ server: (await started({}, gateway)).url, deviceId: 'd1' })],
  ['a fetch', async (gateway: FakeGateway) => direct(gateway)],
] as const)('over %s', (_name, make) => {
  test('a device checks in, downloads, reports', async () => {
    const gateway = fakeGateway({ bytes, path: fileOf(bytes), form: 'file' })
    const client = await make(gateway)
    const installed = { version: '1.0.0', state: 'confirmed' } as const
    const answer = await client.checkIn({
      model: 'esp32s3',
      installed,
      attributes: { ram: 1 },
      evidence: { mediaType: 'a/b', body: new Uint8Array([0, 255]) },
    })
    const component = answer.offer?.components[0] as NativeComponent
    expect(component).toMatchObject({ component: 'app', size: bytes.length })
    const progress: number[] = []
    const image = await collect(client.download(component, { progress: (done) => progress.push(done) }), bytes.length)
    expect(Buffer.from(image).equals(bytes)).toBe(true)
    expect(progress.at(-1)).toBe(bytes.length)
    await client.report(answer.offer?.seq as number, { state: 'confirmed', messages: ['done'] })
    expect(gateway.calls.map(({ name, args }) => [name, args[0]])).toEqual([
      ['checkIn', { model: 'esp32s3', installed, attributes: { ram: 1 } }],
      ['read', 7],
      ['report', 7],
    ])
    expect(gateway.calls[0]?.args[1]).toEqual({ mediaType: 'a/b', body: new Uint8Array([0, 255]) })
  })

  test('an answer without offer says when to come again and why', async () => {
    const gateway = fakeGateway()
    gateway.answer = idle
    const client = await make(gateway)
    expect(await client.checkIn()).toEqual({ pollAfterMs: 300_000, because: idle.because })
  })

  test('a download goes on where the device stopped', async () => {
    const gateway = fakeGateway({ bytes })
    const client = await make(gateway)
    const { offer } = await client.checkIn()
    const component = offer?.components[0] as NativeComponent
    const rest = await collect(client.download(component, { offset: 299_990 }), 100)
    expect(Buffer.from(rest).equals(bytes.subarray(299_990))).toBe(true)
    expect(await collect(client.download(component, { offset: bytes.length }), 1)).toHaveLength(0)
  })
})

describe('a broken download', () => {
  const component = async (client: ReturnType<typeof nativeClient>): Promise<NativeComponent> =>
    (await client.checkIn()).offer?.components[0] as NativeComponent

  /** Cuts each image after `cut` bytes. */
  const cutting =
    (cut: number, ranges: (string | null)[] = []) =>
    (fetch: (request: Request) => Promise<Response>) =>
    async (request: Request) => {
      const response = await fetch(request)
      if (request.method !== 'GET' || response.body === null) return response
      ranges.push(request.headers.get('range'))
      let left = cut
      const body = response.body.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            controller.enqueue(chunk.subarray(0, left))
            left -= chunk.length
            if (left <= 0) controller.error(new Error('connection reset'))
          },
        }),
      )
      return new Response(body, { status: response.status, headers: response.headers })
    }

  test('resumes with Range and If-Range until it is whole', async () => {
    const ranges: (string | null)[] = []
    const client = direct(fakeGateway({ bytes }), cutting(70_000, ranges))
    const image = await collect(client.download(await component(client)), bytes.length)
    expect(Buffer.from(image).equals(bytes)).toBe(true)
    expect(ranges.slice(0, 2)).toEqual([null, expect.stringMatching(/^bytes=[1-9]\d+-$/)])
    expect(ranges.length).toBeGreaterThan(4)
  })

  test('resumes over a socket that is cut in the middle', async () => {
    const large = patterned(6 * 1024 * 1024)
    const { url, gateway } = await started({ limits: { stallTimeoutMs: 40, minBytesPerSecond: 2 ** 30 } }, fakeGateway({ bytes: large }))
    const client = clientOf({ server: url, deviceId: 'd1' })
    let size = 0
    let stalled = false
    const chunks: Uint8Array[] = []
    for await (const chunk of client.download(await component(client))) {
      chunks.push(chunk)
      size += chunk.length
      if (!stalled) {
        // The server takes this for a reader that is too slow, and cuts.
        stalled = true
        await new Promise((resolve) => setTimeout(resolve, 150))
      }
    }
    expect(size).toBe(large.length)
    expect(Buffer.concat(chunks).equals(large)).toBe(true)
    expect(gateway.calls.filter(({ name }) => name === 'read').length).toBeGreaterThan(1)
  })

  test('skips what it has where the server knows no ranges', async () => {
    const client = direct(fakeGateway({ bytes }), (fetch) =>
      cutting(70_000)(async (request) => {
        const headers = new Headers(request.headers)
        headers.delete('range')
        return fetch(new Request(request.url, { method: request.method, headers, body: request.body, duplex: 'half' } as RequestInit))
      }),
    )
    const error = await failure(collect(client.download(await component(client)), bytes.length))
    // Each attempt breaks before a new byte comes, so it gives up; but not one byte comes twice.
    expect(error).toMatchObject({ code: 'DOWNLOAD_BROKEN', fault: 'unavailable', details: { size: bytes.length } })
    const whole = direct(fakeGateway({ bytes }), (fetch) => async (request) => {
      const headers = new Headers(request.headers)
      headers.delete('range')
      return fetch(new Request(request.url, { method: request.method, headers, body: request.body, duplex: 'half' } as RequestInit))
    })
    const rest = await collect(whole.download(await component(whole), { offset: 100_000 }), bytes.length)
    expect(Buffer.from(rest).equals(bytes.subarray(100_000))).toBe(true)
  })

  test('waits longer each time, at least as long as the server asks, and gives up after its attempts', async () => {
    const waits: number[] = []
    const gateway = fakeGateway({ bytes })
    const { fetch } = httpHandler({ gateway, authenticators: [anonymousDevices()] })
    let busy = true
    const client = clientOf({
      server: 'http://ota.example',
      deviceId: 'd1',
      fetch: (request) => (request.method === 'GET' && busy ? answering(503, null, { 'retry-after': '2' })() : fetch(request)),
      limits: { downloadAttempts: 5, backoffMs: 100, longestBackoffMs: 500 },
      random: () => 1,
      sleep: async (milliseconds) => {
        waits.push(milliseconds)
      },
    })
    const wanted = await component(client)
    expect(await failure(collect(client.download(wanted), bytes.length))).toMatchObject({ code: 'DOWNLOAD_BROKEN' })
    expect(waits).toEqual([600, 700, 900, 1000])
    busy = false
    expect(await collect(client.download(wanted), bytes.length)).toHaveLength(bytes.length)
  })

  test('never mixes two images', async () => {
    const gateway = fakeGateway({ bytes })
    const client = direct(gateway, cutting(70_000))
    const wanted = await component(client)
    const chunks = client.download(wanted)[Symbol.asyncIterator]()
    await chunks.next()
    gateway.image = { bytes: patterned(300_001).subarray(1) }
    const rest = (async () => {
      while (!(await chunks.next()).done);
    })()
    expect(await failure(rest)).toMatchObject({ code: 'IMAGE_CHANGED' })
  })

  test('ends when it is aborted, while it flows and while it waits', async () => {
    const client = direct(fakeGateway({ bytes }))
    const wanted = await component(client)
    const controller = new AbortController()
    const chunks = client.download(wanted, { signal: controller.signal })[Symbol.asyncIterator]()
    await chunks.next()
    controller.abort()
    expect(await failure(Promise.resolve(chunks.next()))).toMatchObject({ code: 'ABORTED' })
    const waiting = new AbortController()
    const stuck = clientOf({
      server: 'http://ota.example',
      deviceId: 'd1',
      fetch: answering(503),
      sleep: (_milliseconds, signal) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
          queueMicrotask(() => waiting.abort())
        }),
    })
    expect(await failure(collect(stuck.download(wanted, { signal: waiting.signal }), 1))).toMatchObject({ code: 'ABORTED' })
  })

  test('lets go of the connection when its reader stops', async () => {
    const large = patterned(32 * 1024 * 1024)
    const { url, records } = await started({}, fakeGateway({ bytes: large }))
    const client = clientOf({ server: url, deviceId: 'd1' })
    for await (const _chunk of client.download(await component(client))) break
    await eventually(() => records.some(({ cut }) => cut === true), 'the server sees it')
  })

  test('does not take what its reader throws for a broken connection', async () => {
    const client = direct(fakeGateway({ bytes }))
    const wanted = await component(client)
    const progress = (): void => {
      throw new Error('flash is full')
    }
    await expect(collect(client.download(wanted, { progress }), bytes.length)).rejects.toThrow('flash is full')
  })

  test.each([-1, 1.5, 300_001])('does not begin at %f', async (offset) => {
    const client = direct(fakeGateway({ bytes }))
    const wanted = await component(client)
    expect(await failure(collect(client.download(wanted, { offset }), 1))).toMatchObject({ code: 'INVALID_OPTION' })
  })
})

describe('what the server answers', () => {
  test.each([
    [401, 'SERVER_REFUSED', 'rejected'],
    [403, 'SERVER_REFUSED', 'rejected'],
    [400, 'REQUEST_REFUSED', 'invalid'],
    [404, 'REQUEST_REFUSED', 'invalid'],
    [501, 'REQUEST_REFUSED', 'invalid'],
    [408, 'SERVER_BUSY', 'unavailable'],
    [429, 'SERVER_BUSY', 'unavailable'],
    [500, 'SERVER_BUSY', 'unavailable'],
    [503, 'SERVER_BUSY', 'unavailable'],
    [302, 'INVALID_ANSWER', 'invalid'],
    [206, 'INVALID_ANSWER', 'invalid'],
  ])('%i is %s', async (status, code, fault) => {
    const fetch = answering(status, '{"code":"REMOTE","message":"why"}', { 'retry-after': '7', location: 'http://elsewhere/' })
    const client = clientOf({ server: 'http://ota.example', deviceId: 'd1', fetch })
    expect(await failure(client.checkIn())).toMatchObject({
      code,
      fault,
      details: { status, remoteCode: 'REMOTE', remoteMessage: 'why', retryAfterMs: 7000 },
    })
  })

  test('writes no lines of its own into the log of a device', async () => {
    const fetch = answering(404, JSON.stringify({ code: 'X\n12:00 all is well', message: 'a\u001b[2Jb\r\nc' }))
    const error = await failure(clientOf({ server: 'http://ota.example', deviceId: 'd1', fetch }).checkIn())
    expect(JSON.stringify(error)).not.toMatch(/\\[nr]|\\u00/)
    expect(error).toMatchObject({ details: { remoteCode: 'X\ufffd12:00 all is well', remoteMessage: 'a\ufffd[2Jb\ufffd\ufffdc' } })
  })

  test('may be a page of a proxy', async () => {
    const client = clientOf({ server: 'http://ota.example', deviceId: 'd1', fetch: answering(502, `<html>${'x'.repeat(100_000)}`) })
    expect(await failure(client.checkIn())).toMatchObject({ code: 'SERVER_BUSY', details: { status: 502 } })
  })

  test('is read up to its limit', async () => {
    const client = clientOf({ server: 'http://ota.example', deviceId: 'd1', fetch: answering(200, `{"a":"${'x'.repeat(100_000)}"}`) })
    expect(await failure(client.checkIn())).toMatchObject({ code: 'TOO_LARGE' })
  })

  test('may be nobody', async () => {
    const client = clientOf({ server: 'http://127.0.0.1:1', deviceId: 'd1' })
    expect(await failure(client.checkIn())).toMatchObject({ code: 'SERVER_UNREACHABLE', fault: 'unavailable' })
  })

  test('may be silence', async () => {
    const gateway = fakeGateway()
    gateway.checkIn = () => new Promise(() => undefined)
    const { url } = await started({}, gateway)
    const client = clientOf({ server: url, deviceId: 'd1', limits: { idleTimeoutMs: 50 } })
    expect(await failure(client.checkIn())).toMatchObject({ code: 'SERVER_UNREACHABLE', message: expect.stringContaining('50 ms') })
    const controller = new AbortController()
    const patient = clientOf({ server: url, deviceId: 'd1' })
    const asked = patient.checkIn({}, { signal: controller.signal })
    controller.abort()
    expect(await failure(asked)).toMatchObject({ code: 'ABORTED', fault: 'aborted' })
  })

  test('never sends the token to another place', async () => {
    const seen: string[] = []
    const offer = { seq: 1, version: '1', mode: 'forced', components: [{ ...wireComponent, url: 'http://evil.example/x' }] }
    const client = clientOf({
      server: 'http://ota.example',
      deviceId: 'd1',
      token: 'secret',
      fetch: async (request) => {
        seen.push(new URL(request.url).host)
        expect(request.headers.get('authorization')).toBe('Bearer secret')
        return new Response(JSON.stringify({ pollAfterMs: 1, offer }))
      },
    })
    const answer = await client.checkIn()
    const error = await failure(collect(client.download(answer.offer?.components[0] as NativeComponent), 1))
    expect(error).toMatchObject({ code: 'INVALID_ANSWER' })
    expect(seen).toEqual(['ota.example'])
  })
})

const wireComponent = {
  component: 'app',
  yields: `sha256:${'a'.repeat(64)}`,
  size: 10,
  digest: `sha256:${'a'.repeat(64)}`,
  crc32: 1,
  fileName: 'a.bin',
  url: '/v1/x',
}

test('a token and a trusted authority get a device in over TLS, and nothing else does', async () => {
  const authority = testCertificate('authority')
  const { cert, key } = testCertificate('localhost', authority)
  const { url } = await started({ tls: { cert, key } }, fakeGateway({ bytes }), [tokenDevices({ d1: 'secret' })])
  const server = url.replace('127.0.0.1', 'localhost')
  const known = clientOf({ server, deviceId: 'd1', token: 'secret', ca: authority.cert })
  const { offer } = await known.checkIn()
  expect(await collect(known.download(offer?.components[0] as NativeComponent), bytes.length)).toHaveLength(bytes.length)
  const stranger = clientOf({ server, deviceId: 'd1', token: 'wrong', ca: authority.cert })
  expect(await failure(stranger.checkIn())).toMatchObject({ code: 'SERVER_REFUSED', details: { remoteCode: 'NOT_AUTHENTICATED' } })
  const distrusting = clientOf({ server, deviceId: 'd1', token: 'secret' })
  expect(await failure(distrusting.checkIn())).toMatchObject({ code: 'SERVER_UNREACHABLE' })
})

test.each<[string, Partial<NativeClientOptions>, RegExp]>([
  ['a server without scheme', { server: 'ota.example' }, /^server/],
  ['a server of another scheme', { server: 'ftp://ota.example' }, /^server/],
  ['a server with a password', { server: 'http://a:b@ota.example' }, /^server/],
  ['a server with a query', { server: 'http://ota.example/?a' }, /^server/],
  ['a device id that is none', { deviceId: '../x' }, /^deviceId/],
  ['a token of two lines', { token: 'a\nb' }, /^token/],
  ['an empty token', { token: '' }, /^token/],
])('%s is refused at once', (_name, options, message) => {
  let thrown: unknown
  try {
    nativeClient({ server: 'http://ota.example', deviceId: 'd1', ...options })
  } catch (error) {
    thrown = error
  }
  expect(isOtaError(thrown) && thrown.code).toBe('INVALID_OPTION')
  expect((thrown as Error).message).toMatch(message)
})

test('a server with a prefix is asked under it', async () => {
  const { url } = await started({ prefix: '/ota' }, fakeGateway({ bytes }))
  const client = clientOf({ server: `${url}/ota/`, deviceId: 'a@b:c' })
  const { offer } = await client.checkIn()
  expect(await collect(client.download(offer?.components[0] as NativeComponent), bytes.length)).toHaveLength(bytes.length)
})

test('5,000 mutated answers are read or refused as invalid, and nothing else', () => {
  const below = seeded(99)
  const answer = {
    pollAfterMs: 1,
    offer: { ...offerOf(bytes), components: [wireComponent] },
    cancel: 3,
    wants: ['evidence'],
    challenge: 'AAEC',
    because: [{ code: 'A', message: 'b' }],
  }
  const foul = [null, -1, 1.5, '', [], {}, 'x', true, 2 ** 40]
  const seen = { read: 0, refused: 0 }
  for (let round = 0; round < 5_000; round++) {
    const copy = structuredClone(answer) as unknown as Record<string, unknown>
    let at = copy
    while (below(3) > 0) {
      const inner = Object.values(at)[below(Object.keys(at).length)]
      if (typeof inner === 'object' && inner !== null) at = inner as Record<string, unknown>
    }
    const key = Object.keys(at)[below(Object.keys(at).length)] ?? 'x'
    if (below(3) === 0) delete at[key]
    else at[key] = foul[below(foul.length)]
    const text = Buffer.from(JSON.stringify(copy))
    if (below(4) === 0) text[below(text.length)] = below(256)
    try {
      readNativeAnswer(text)
      seen.read++
    } catch (error) {
      expect(isOtaError(error) && error.code, text.toString('latin1')).toBe('INVALID_ANSWER')
      seen.refused++
    }
  }
  expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(200)
})
