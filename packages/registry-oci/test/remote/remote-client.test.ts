import type { IncomingHttpHeaders } from 'node:http'
import { mediaTypes } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { artifactOf, descriptorOf, noise, read } from '../content.ts'
import { type Handler, hostileRegistry, json, testRegistry } from '../hostile-registry.ts'

const content = noise(5000)
const blob = descriptorOf(content)
const { bytes, descriptor } = artifactOf(blob)
const robot = { username: 'robot', password: 's3cret' }
const basic = `Basic ${Buffer.from('robot:s3cret').toString('base64')}`

const manifest: Handler = ({ method }, response) => {
  response.writeHead(200, {
    'content-type': mediaTypes.manifest,
    'docker-content-digest': descriptor.digest,
    'content-length': bytes.length,
  })
  response.end(method === 'HEAD' ? undefined : bytes)
}

const secretsIn = (headers: IncomingHttpHeaders) =>
  [headers.authorization, headers.cookie, headers['proxy-authorization']].filter((value) => value !== undefined)

describe('redirects', () => {
  test('are followed to another origin without credentials, and with the range', async () => {
    const storage = await hostileRegistry((_, response) => {
      response.writeHead(206, { 'content-range': `bytes 1000-4999/5000` }).end(content.subarray(1000))
    })
    const peer = await hostileRegistry(({ headers }, response) => {
      if (headers.authorization !== basic) return void response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
      response.writeHead(307, { location: `http://${storage.host}/blob?signature=abc`, 'set-cookie': 'session=1' }).end()
    })
    const { registry } = testRegistry({ credentials: () => robot })
    expect((await read(registry, `${peer.host}/a`, blob, 1000)).length).toBe(4000)
    expect(storage.lines()).toEqual(['GET /blob?signature=abc'])
    expect(secretsIn(storage.seen[0]?.headers ?? {})).toEqual([])
    expect(storage.seen[0]?.headers.range).toBe('bytes=1000-')
  })

  test('back to the registry by way of another origin carry no credentials any more', async () => {
    let origin = ''
    const other = await hostileRegistry((_, response) => void response.writeHead(302, { location: `http://${origin}/back` }).end())
    const peer = await hostileRegistry(({ headers, url }, response) => {
      if (url === '/back') return void response.end(content)
      if (headers.authorization !== basic) return void response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
      response.writeHead(302, { location: `http://${other.host}/` }).end()
    })
    origin = peer.host
    await read(testRegistry({ credentials: () => robot }).registry, `${peer.host}/a`, blob)
    expect(peer.seen.filter(({ url }) => url === '/back').map(({ headers }) => secretsIn(headers))).toEqual([[]])
  })

  test('to a server that asks for credentials do not fetch any', async () => {
    let asked = 0
    const storage = await hostileRegistry((_, response) => void response.writeHead(401, { 'www-authenticate': 'Basic realm="give"' }).end())
    const peer = await hostileRegistry((_, response) => void response.writeHead(307, { location: `http://${storage.host}/` }).end())
    const credentials = () => {
      asked++
      return robot
    }
    await expect(testRegistry({ credentials }).registry.fetch(`${peer.host}/a`, blob)).rejects.toMatchObject({
      code: 'CREDENTIALS_ELSEWHERE',
      fault: 'rejected',
    })
    expect(asked).toBe(0)
    expect(storage.seen.length).toBe(1)
  })

  test('are followed five times and no further, and only to http', async () => {
    for (const [hops, expected] of [
      [5, 'ok'],
      [6, 'TOO_MANY_REDIRECTS'],
      [Number.POSITIVE_INFINITY, 'TOO_MANY_REDIRECTS'],
    ] as const) {
      const peer = await hostileRegistry(({ url }, response) => {
        const hop = Number(/hop=([0-9]+)/.exec(url)?.[1] ?? 0)
        if (hop < hops) response.writeHead(302, { location: `/x?hop=${hop + 1}` }).end()
        else response.end(content)
      })
      const found = await read(testRegistry().registry, `${peer.host}/a`, blob).then(
        () => 'ok',
        (error) => error.code,
      )
      expect(found).toBe(expected)
      expect(peer.seen.length).toBe(6)
    }
    for (const location of [
      'ftp://example.com/',
      'file:///etc/passwd',
      'http://user:secret@127.0.0.1:1/',
      'http://registry.example.com/',
    ]) {
      const peer = await hostileRegistry((_, response) => void response.writeHead(302, { location }).end())
      const error = await testRegistry()
        .registry.fetch(`${peer.host}/a`, blob)
        .catch((caught: unknown) => caught)
      const code = location.includes('secret') ? 'REDIRECT_WITH_CREDENTIALS' : 'UNSAFE_REDIRECT'
      expect(error).toMatchObject({ code, fault: 'rejected' })
      expect(JSON.stringify(error)).not.toContain('secret')
    }
  })

  test('without a place to go are a broken protocol', async () => {
    for (const headers of [{}, { location: 'http://[' }]) {
      const peer = await hostileRegistry((_, response) => void response.writeHead(302, headers).end())
      await expect(testRegistry().registry.fetch(`${peer.host}/a`, blob)).rejects.toMatchObject({ code: 'REGISTRY_PROTOCOL' })
    }
  })
})

describe('credentials', () => {
  test('are not sent before they are asked for, and then with every request at once', async () => {
    const peer = await hostileRegistry((request, response) => {
      if (request.headers.authorization === basic) return manifest(request, response)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
    })
    const { registry } = testRegistry({ credentials: () => robot })
    await registry.resolve(`${peer.host}/a:1.0.0`)
    await registry.resolve(`${peer.host}/b:1.0.0`)
    expect(peer.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, basic, basic])
  })

  test('that the registry refuses are not tried for ever', async () => {
    const peer = await hostileRegistry((_, response) => void response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end())
    const { registry } = testRegistry({ credentials: () => robot })
    await expect(registry.resolve(`${peer.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'REGISTRY_DENIED' })
    expect(peer.seen.length).toBe(2)
  })

  test('that have changed are asked for again after a refusal', async () => {
    let valid = basic
    const peer = await hostileRegistry((request, response) => {
      if (request.headers.authorization === valid) return manifest(request, response)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
    })
    let password = 's3cret'
    const { registry } = testRegistry({ credentials: async () => ({ username: 'robot', password }) })
    await registry.resolve(`${peer.host}/a:1.0.0`)
    password = 'changed'
    valid = `Basic ${Buffer.from('robot:changed').toString('base64')}`
    await registry.resolve(`${peer.host}/a:1.0.0`)
    expect(peer.seen.length).toBe(4)
  })

  test('that are wanted in a way nobody knows, missing, malformed, or failing to come end in REGISTRY_DENIED', async () => {
    const peer = await hostileRegistry(
      (_, response) => void response.writeHead(401, { 'www-authenticate': 'Negotiate, Basic realm="r"' }).end(),
    )
    const odd = await hostileRegistry((_, response) => void response.writeHead(401, { 'www-authenticate': 'Negotiate' }).end())
    const mute = await hostileRegistry((_, response) => void response.writeHead(401).end())
    const failing = () => {
      throw new Error('the helper failed')
    }
    const cases = [
      [odd, () => robot],
      [mute, () => robot],
      [peer, () => undefined],
      [peer, () => ({ username: 'a:b', password: 'p' })],
      [peer, () => ({ username: 'a', password: 'p\r\nx-evil: 1' })],
      [peer, failing],
    ] as const
    for (const [registry, credentials] of cases) {
      const call = testRegistry({ credentials }).registry.resolve(`${registry.host}/a:1.0.0`)
      await expect(call).rejects.toMatchObject({ code: 'REGISTRY_DENIED', fault: 'rejected' })
    }
  })

  test('do not help against 403', async () => {
    const peer = await hostileRegistry((_, response) => json(response, 403, { errors: [{ code: 'DENIED' }] }))
    await expect(testRegistry({ credentials: () => robot }).registry.fetch(`${peer.host}/a`, blob)).rejects.toMatchObject({
      code: 'REGISTRY_DENIED',
      message: expect.stringContaining('DENIED'),
    })
    expect(peer.seen.length).toBe(1)
  })
})

describe('retries', () => {
  const failing = (status: number, times: number, headers: Readonly<Record<string, string>> = {}): Handler => {
    let left = times
    return (request, response) => {
      if (left-- > 0) response.writeHead(status, headers).end()
      else return manifest(request, response)
    }
  }

  test('ride out a registry that is busy or broken for a moment, ever more slowly', async () => {
    for (const status of [408, 429, 500, 502, 503, 504]) {
      const peer = await hostileRegistry(failing(status, 3))
      const { registry, pauses } = testRegistry()
      await registry.resolve(`${peer.host}/a:1.0.0`)
      expect(peer.seen.length).toBe(4)
      expect(pauses).toEqual([250, 375, 750])
    }
  })

  test('wait as long as Retry-After says, in seconds or until a date of the server’s own clock', async () => {
    const seconds = await hostileRegistry(failing(429, 1, { 'retry-after': '7' }))
    const first = testRegistry({ random: () => 0 })
    await first.registry.resolve(`${seconds.host}/a:1.0.0`)
    expect(first.pauses).toEqual([7000])
    const dated = await hostileRegistry(
      failing(503, 1, { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT', date: 'Fri, 31 Dec 1999 23:59:50 GMT' }),
    )
    const second = testRegistry({ random: () => 0 })
    await second.registry.resolve(`${dated.host}/a:1.0.0`)
    expect(second.pauses).toEqual([9000])
  })

  test('end after four tries, and at once where Retry-After is beyond the time that is left', async () => {
    const busy = await hostileRegistry(failing(429, 1000))
    await expect(testRegistry().registry.resolve(`${busy.host}/a:1.0.0`)).rejects.toMatchObject({
      code: 'REGISTRY_BUSY',
      fault: 'unavailable',
    })
    expect(busy.seen.length).toBe(4)
    const late = await hostileRegistry(failing(429, 1000, { 'retry-after': '3600' }))
    const { registry, pauses } = testRegistry()
    await expect(registry.resolve(`${late.host}/a:1.0.0`)).rejects.toMatchObject({ details: { status: 429, retryAfterMs: 3_600_000 } })
    expect(late.seen.length).toBe(1)
    expect(pauses).toEqual([])
  })

  test('are not made for answers that are final', async () => {
    for (const status of [400, 403, 404, 418]) {
      const peer = await hostileRegistry((_, response) => void response.writeHead(status).end())
      await expect(testRegistry().registry.fetch(`${peer.host}/a`, blob)).rejects.toBeDefined()
      expect(peer.seen.length).toBe(1)
    }
  })

  test('are made for connections that break or are refused, and stop when the caller cancels', async () => {
    let breaks = 2
    const peer = await hostileRegistry((request, response) => (breaks-- > 0 ? void response.destroy() : manifest(request, response)))
    expect(await testRegistry().registry.resolve(`${peer.host}/a:1.0.0`)).toEqual(descriptor)
    const { registry, pauses } = testRegistry()
    await expect(registry.resolve('127.0.0.1:1/a:1.0.0')).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      details: { code: 'ECONNREFUSED' },
    })
    expect(pauses.length).toBe(3)
    const controller = new AbortController()
    const sleep = async (_: number, signal?: AbortSignal) => {
      controller.abort()
      signal?.throwIfAborted()
    }
    const clock = { now: () => 0, sleep }
    const cancelled = testRegistry({ clock }).registry.resolve('127.0.0.1:1/a:1.0.0', { signal: controller.signal })
    await expect(cancelled).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('a closed registry', () => {
  test('ends what runs, and takes no more calls', async () => {
    let arrived = (): void => {}
    const waiting = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const peer = await hostileRegistry(() => arrived())
    const { registry } = testRegistry()
    const call = registry.resolve(`${peer.host}/a:1.0.0`)
    const outcome = expect(call).rejects.toMatchObject({ code: 'ABORTED' })
    await waiting
    await registry.close()
    await outcome
    await expect(registry.resolve(`${peer.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'ABORTED' })
    expect(peer.seen.length).toBe(1)
  })
})
