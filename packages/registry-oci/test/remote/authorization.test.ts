import { mediaTypes, streamOf } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { artifactOf, descriptorOf, emptyBytes, noise } from '../content.ts'
import { type Handler, type HostileRegistry, hostileRegistry, json, testRegistry } from '../hostile-registry.ts'

const { bytes, descriptor } = artifactOf(descriptorOf(noise(100)))
const robot = { username: 'robot', password: 's3cret' }

const manifest: Handler = ({ method }, response) => {
  response.writeHead(200, {
    'content-type': mediaTypes.manifest,
    'docker-content-digest': descriptor.digest,
    'content-length': bytes.length,
  })
  response.end(method === 'HEAD' ? undefined : bytes)
}

/** A registry that lets tokens in which `accepts`, and asks for others at its own /token. */
async function guarded(accepts: (token: string, scope: string) => boolean, tokens: Handler, challenge = ''): Promise<HostileRegistry> {
  const peer: HostileRegistry = await hostileRegistry((request, response) => {
    if (request.url.startsWith('/token')) return tokens(request, response)
    const scope = `repository:a:${request.method === 'GET' || request.method === 'HEAD' ? 'pull' : 'pull,push'}`
    if (accepts(request.headers.authorization ?? '', scope)) return manifest(request, response)
    const more = challenge === '' ? `scope="${scope.replace(':a:', `:${request.url.split('/')[2]}:`)}"` : challenge
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${peer.host}/token",service="s p",${more}` }).end()
  })
  return peer
}

describe('bearer tokens', () => {
  test('are fetched with what the challenge says, once for many requests at the same time, and kept', async () => {
    const peer = await guarded(
      (token) => token === 'Bearer t1',
      (_, response) => json(response, 200, { token: 't1', expires_in: 300 }),
    )
    const { registry } = testRegistry({ credentials: () => robot })
    await Promise.all(Array.from({ length: 10 }, () => registry.resolve(`${peer.host}/a:1.0.0`)))
    await registry.resolve(`${peer.host}/a:1.0.0`)
    const asked = peer.seen.filter(({ url }) => url.startsWith('/token'))
    expect(asked.map(({ url }) => url)).toEqual(['/token?service=s+p&scope=repository%3Aa%3Apull&account=robot'])
    expect(asked[0]?.headers.authorization).toBe(`Basic ${Buffer.from('robot:s3cret').toString('base64')}`)
  })

  test('are fetched without credentials where there are none, and read from access_token too', async () => {
    const peer = await guarded(
      (token) => token === 'Bearer anonymous',
      (_, response) => json(response, 200, { access_token: 'anonymous' }),
    )
    await testRegistry().registry.resolve(`${peer.host}/a:1.0.0`)
    const asked = peer.seen.find(({ url }) => url.startsWith('/token'))
    expect(asked?.headers.authorization).toBeUndefined()
    expect(asked?.url).not.toContain('account')
  })

  test('are renewed before they end, by our clock and not by theirs', async () => {
    let issued = 0
    const peer = await guarded(
      (token) => token === `Bearer t${issued}`,
      (_, response) => json(response, 200, { token: `t${++issued}`, expires_in: 60 }),
    )
    let now = 0
    const clock = { now: () => now, sleep: async () => {} }
    const { registry } = testRegistry({ clock })
    for (const [at, tokens] of [
      [0, 1],
      [49_000, 1],
      [51_000, 2],
      [90_000, 2],
      [102_000, 3],
    ] as const) {
      now = at
      await registry.resolve(`${peer.host}/a:1.0.0`)
      expect(issued).toBe(tokens)
    }
  })

  test('that the registry has forgotten are replaced', async () => {
    let issued = 0
    const peer = await guarded(
      (token) => token === `Bearer t${issued}`,
      (_, response) => json(response, 200, { token: `t${++issued}`, expires_in: 300 }),
    )
    const { registry } = testRegistry()
    await registry.resolve(`${peer.host}/a:1.0.0`)
    issued = 7
    await registry.resolve(`${peer.host}/a:1.0.0`)
    expect(issued).toBe(8)
  })

  test('that lack a scope are fetched again with it, beside our own', async () => {
    const scopes: string[] = []
    const peer = await guarded(
      (token) => token === 'Bearer t2',
      ({ url }, response) => {
        scopes.push(new URL(url, 'http://x').searchParams.getAll('scope').join(' + '))
        json(response, 200, { token: `t${scopes.length}` })
      },
      'scope="repository:a:pull repository:other:pull",error="insufficient_scope"',
    )
    await testRegistry().registry.resolve(`${peer.host}/a:1.0.0`)
    expect(scopes).toEqual(['repository:other:pull + repository:a:pull', 'repository:other:pull + repository:a:pull'])
  })

  test('are of their own for pulling and for pushing, and ask for push although the challenge asked for pull', async () => {
    const scopes: string[] = []
    const peer = await guarded(
      (token) => token !== '',
      ({ url }, response) => {
        scopes.push(new URL(url, 'http://x').searchParams.getAll('scope').join(' + '))
        json(response, 200, { token: `t${scopes.length}` })
      },
      'scope="repository:a:pull"',
    )
    const { registry } = testRegistry()
    await registry.push(`${peer.host}/a`, descriptorOf(emptyBytes), () => streamOf(emptyBytes)).catch(() => {})
    await registry.resolve(`${peer.host}/a:1.0.0`)
    expect(scopes).toEqual(['repository:a:pull,push', 'repository:a:pull'])
  })

  test('that never satisfy the registry end after two of them', async () => {
    let issued = 0
    const peer = await guarded(
      () => false,
      (_, response) => json(response, 200, { token: `t${++issued}` }),
    )
    await expect(testRegistry().registry.resolve(`${peer.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'REGISTRY_DENIED' })
    expect(issued).toBe(2)
  })

  test('are never asked for at a realm that must not be followed', async () => {
    let asked = 0
    const credentials = () => {
      asked++
      return robot
    }
    for (const realm of ['http://tokens.example.com/token', 'ftp://127.0.0.1/', 'http://user:pw@127.0.0.1:1/', 'not a url', '']) {
      const peer = await hostileRegistry(
        (_, response) => void response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end(),
      )
      const call = testRegistry({ credentials }).registry.resolve(`${peer.host}/a:1.0.0`)
      await expect(call).rejects.toMatchObject({ code: expect.stringMatching(/^(UNSAFE_TOKEN_REALM|REGISTRY_PROTOCOL)$/) })
    }
    expect(asked).toBe(0)
  })

  test('are not fetched by way of a redirect', async () => {
    const thief = await hostileRegistry((_, response) => json(response, 200, { token: 't' }))
    const peer = await guarded(
      () => false,
      (_, response) => void response.writeHead(307, { location: `http://${thief.host}/` }).end(),
    )
    await expect(testRegistry({ credentials: () => robot }).registry.resolve(`${peer.host}/a:1.0.0`)).rejects.toMatchObject({
      code: 'REGISTRY_PROTOCOL',
    })
    expect(thief.seen).toEqual([])
  })

  test('that cannot be had fail as what they are: denied, unavailable, unreadable', async () => {
    const cases: [Handler, string][] = [
      [(_, response) => void response.writeHead(401).end(), 'REGISTRY_DENIED'],
      [(_, response) => void response.writeHead(403).end(), 'REGISTRY_DENIED'],
      [(_, response) => void response.writeHead(429).end(), 'REGISTRY_BUSY'],
      [(_, response) => void response.writeHead(500).end(), 'REGISTRY_UNAVAILABLE'],
      [(_, response) => void response.end('eyJsecret is not JSON'), 'REGISTRY_PROTOCOL'],
      [(_, response) => json(response, 200, {}), 'REGISTRY_PROTOCOL'],
      [(_, response) => json(response, 200, null), 'REGISTRY_PROTOCOL'],
      [(_, response) => json(response, 200, { token: 'eyJsecret\r\nx-evil: 1' }), 'REGISTRY_PROTOCOL'],
      [(_, response) => json(response, 200, { token: 'x'.repeat(20_000) }), 'REGISTRY_PROTOCOL'],
      [(_, response) => json(response, 200, { token: 't', padding: 'x'.repeat(100_000) }), 'TOKEN_TOO_LARGE'],
    ]
    for (const [tokens, code] of cases) {
      const peer = await guarded(() => false, tokens)
      const error = await testRegistry({ credentials: () => robot })
        .registry.resolve(`${peer.host}/a:1.0.0`)
        .catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code })
      expect(`${JSON.stringify(error)} ${(error as Error).cause}`).not.toMatch(/s3cret|eyJsecret|cm9ib3Q/)
    }
  })

  test('do not go to another registry, nor to another repository', async () => {
    const tokens: Handler = ({ url }, response) =>
      json(response, 200, { token: `for ${new URL(url, 'http://x').searchParams.get('scope')?.split(':')[1]}`.replace(' ', '-') })
    const one = await guarded((token) => token !== '', tokens)
    const two = await guarded((token) => token !== '', tokens)
    const { registry } = testRegistry()
    await registry.resolve(`${one.host}/a:1.0.0`)
    await registry.resolve(`${one.host}/b:1.0.0`)
    await registry.resolve(`${two.host}/a:1.0.0`)
    const sent = (peer: HostileRegistry) =>
      peer.seen.filter(({ url }) => url.startsWith('/v2')).map(({ url, headers }) => `${url.slice(4, 5)} ${headers.authorization}`)
    expect(sent(one)).toEqual(['a undefined', 'a Bearer for-a', 'b undefined', 'b Bearer for-b'])
    expect(sent(two)).toEqual(['a undefined', 'a Bearer for-a'])
  })

  test('leave a caller who cancels, and the others get theirs', async () => {
    let release = (): void => {}
    let arrived = (): void => {}
    const waiting = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const peer = await guarded(
      (token) => token === 'Bearer t',
      (_, response) => {
        release = () => json(response, 200, { token: 't' })
        arrived()
      },
    )
    const { registry } = testRegistry()
    const controller = new AbortController()
    const impatient = expect(registry.resolve(`${peer.host}/a:1.0.0`, { signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    })
    const patient = registry.resolve(`${peer.host}/a:1.0.0`)
    await waiting
    controller.abort()
    await impatient
    release()
    expect(await patient).toEqual(descriptor)
    expect(peer.seen.filter(({ url }) => url.startsWith('/token')).length).toBe(1)
  })
})
