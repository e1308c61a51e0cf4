import { createHash } from 'node:crypto'
import { type ByteStream, type Descriptor, mediaTypes, streamOf } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { artifactOf, bytesOf, descriptorOf, noise } from '../content.ts'
import { type Handler, type HostileRegistry, hostileRegistry, json, type SeenRequest, testRegistry } from '../hostile-registry.ts'

const content = noise(150_000)
const blob = descriptorOf(content)
const robot = { username: 'robot', password: 's3cret' }

/** A small registry in memory; `before` may answer a request in its place by returning true. */
async function memoryRegistry(
  before: (request: SeenRequest, response: Parameters<Handler>[1], blobs: Map<string, Buffer>) => boolean | undefined = () => false,
): Promise<HostileRegistry & { readonly blobs: Map<string, Buffer>; readonly manifests: Map<string, { type: string; body: Buffer }> }> {
  const blobs = new Map<string, Buffer>()
  const manifests = new Map<string, { type: string; body: Buffer }>()
  const peer = await hostileRegistry((request, response) => {
    if (before(request, response, blobs) === true) return
    const { method, url, headers, body } = request
    const { pathname, searchParams } = new URL(url, 'http://x')
    const name = pathname.split('/').at(-1) ?? ''
    if (method === 'POST') return void response.writeHead(202, { location: `${pathname}1?_state=a%2Fb%3D%3D` }).end()
    if (method === 'PUT' && pathname.includes('/uploads/')) {
      if (searchParams.get('_state') !== 'a/b==' || !url.includes('_state=a%2Fb%3D%3D&digest=')) return void response.writeHead(400).end()
      const digest = searchParams.get('digest') ?? ''
      const [algorithm = '', hex] = digest.split(':')
      if (createHash(algorithm).update(body).digest('hex') !== hex) return json(response, 400, { errors: [{ code: 'DIGEST_INVALID' }] })
      blobs.set(digest, body)
      return void response.writeHead(201).end()
    }
    if (method === 'PUT') {
      const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
      for (const key of [digest, name]) manifests.set(key, { type: headers['content-type'] ?? '', body })
      return void response.writeHead(201, { 'docker-content-digest': digest }).end()
    }
    const manifest = manifests.get(name)
    if (manifest !== undefined)
      return void response.writeHead(200, { 'content-type': manifest.type }).end(method === 'HEAD' ? undefined : manifest.body)
    if (method === 'HEAD' && blobs.has(name)) return void response.writeHead(200, { 'content-length': blobs.get(name)?.length ?? 0 }).end()
    response.writeHead(404).end()
  })
  return { ...peer, blobs, manifests }
}

/** `open` that counts how often it was called. */
function counted(bytes: Uint8Array): { readonly open: () => ByteStream; times: number } {
  const counter = {
    times: 0,
    open: () => {
      counter.times++
      return streamOf(bytes)
    },
  }
  return counter
}

const parts = (peer: HostileRegistry) =>
  peer.seen.map(({ method, url }) => `${method} ${new URL(url, 'http://x').pathname.replace(/^\/v2\/a\//, '').replace(/sha256:\w+/, '#')}`)

describe('pushing a blob to a remote registry', () => {
  test('asks, begins, and sends it whole with its length; the state of the session comes back unchanged', async () => {
    const peer = await memoryRegistry()
    const { open } = counted(content)
    await testRegistry().registry.push(`${peer.host}/a`, blob, open)
    expect(parts(peer)).toEqual(['HEAD blobs/#', 'POST blobs/uploads/', 'PUT blobs/uploads/1'])
    expect(peer.seen[2]?.headers).toMatchObject({ 'content-length': '150000', 'content-type': 'application/octet-stream' })
    expect(descriptorOf(peer.blobs.get(blob.digest) ?? new Uint8Array())).toEqual(blob)
  })

  test('sends nothing that the repository has, and an empty blob like any other', async () => {
    const peer = await memoryRegistry()
    const { registry } = testRegistry()
    const first = counted(content)
    await registry.push(`${peer.host}/a`, blob, first.open)
    const second = counted(content)
    await registry.push(`${peer.host}/a`, blob, second.open)
    expect([first.times, second.times]).toEqual([1, 0])
    const none = new Uint8Array()
    await registry.push(`${peer.host}/a`, descriptorOf(none), () => streamOf(none))
    expect(peer.blobs.size).toBe(2)
  })

  test('opens the content again after a 401, a redirect and a broken upload', async () => {
    let puts = 0
    const peer = await memoryRegistry(({ method, url, headers }, response) => {
      if (method !== 'PUT' || url.includes('moved')) return false
      puts++
      if (puts === 1) response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
      else if (puts === 2) response.destroy()
      else if (puts === 3) response.writeHead(503).end()
      else if (puts === 4) response.writeHead(404).end()
      else if (headers.authorization === undefined) response.writeHead(400).end()
      else response.writeHead(307, { location: `${url}&moved` }).end()
      return true
    })
    const { open } = counted(content)
    const opened = { open, times: 0 }
    await testRegistry({ credentials: () => robot, limits: { attempts: 10 } }).registry.push(`${peer.host}/a`, blob, () => {
      opened.times++
      return open()
    })
    expect(descriptorOf(peer.blobs.get(blob.digest) ?? new Uint8Array())).toEqual(blob)
    expect(puts).toBe(5)
    expect(opened.times).toBe(6)
    expect(parts(peer).filter((line) => line.startsWith('POST')).length).toBe(4)
  })

  test('uploads to another origin without credentials', async () => {
    const stored: Buffer[] = []
    const storage = await hostileRegistry(({ body }, response) => {
      stored.push(body)
      response.writeHead(201).end()
    })
    const basic = `Basic ${Buffer.from('robot:s3cret').toString('base64')}`
    const peer = await memoryRegistry(({ method, headers }, response) => {
      if (headers.authorization !== basic) response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
      else if (method === 'POST') response.writeHead(202, { location: `http://${storage.host}/put?sig=1` }).end()
      else return false
      return true
    })
    await testRegistry({ credentials: () => robot }).registry.push(`${peer.host}/a`, blob, () => streamOf(content))
    expect(storage.seen.map(({ method, url, headers }) => [method, url, headers.authorization])).toEqual([
      ['PUT', `/put?sig=1&digest=${encodeURIComponent(blob.digest)}`, undefined],
    ])
    expect(stored[0]?.length).toBe(content.length)
  })

  test('does not go where a location must not lead', async () => {
    for (const [location, code] of [
      ['http://storage.example.com/', 'UNSAFE_REDIRECT'],
      ['http://[', 'REGISTRY_PROTOCOL'],
      [undefined, 'REGISTRY_PROTOCOL'],
    ] as const) {
      const peer = await memoryRegistry(({ method }, response) => {
        if (method !== 'POST') return false
        response.writeHead(202, location === undefined ? {} : { location }).end()
        return true
      })
      await expect(testRegistry().registry.push(`${peer.host}/a`, blob, () => streamOf(content))).rejects.toMatchObject({ code })
    }
  })

  test('never completes an upload of bytes that are not what the descriptor says', async () => {
    const changed = Uint8Array.from(content)
    changed[149_999] = (changed[149_999] ?? 0) ^ 1
    for (const [bytes, code] of [
      [changed, 'DIGEST_MISMATCH'],
      [content.subarray(1), 'TRUNCATED'],
      [noise(150_001), 'TRAILING_BYTES'],
      [new Uint8Array(), 'TRUNCATED'],
    ] as const) {
      const peer = await memoryRegistry()
      await expect(testRegistry().registry.push(`${peer.host}/a`, blob, () => streamOf(bytes))).rejects.toMatchObject({ code })
      expect(peer.blobs.size).toBe(0)
    }
  })

  test('passes on what the source of the bytes throws, and closes the source when the registry refuses', async () => {
    const peer = await memoryRegistry()
    const failing = async function* (): ByteStream {
      yield content.subarray(0, 1000)
      throw new TypeError('the disk is gone')
    }
    await expect(testRegistry().registry.push(`${peer.host}/a`, blob, failing)).rejects.toThrow(new TypeError('the disk is gone'))
    expect(parts(peer).filter((line) => line.startsWith('POST')).length).toBe(1)
    let closed = false
    const endless = async function* (): ByteStream {
      try {
        for (;;) yield content.subarray(0, 1000)
      } finally {
        closed = true
      }
    }
    const refusing = await hostileRegistry(
      ({ method }, response) => void response.writeHead(method === 'POST' ? 202 : 404, { location: '/x' }).end(),
    )
    await expect(testRegistry({ limits: { attempts: 1 } }).registry.push(`${refusing.host}/a`, blob, endless)).rejects.toMatchObject({
      code: 'TRAILING_BYTES',
    })
    expect(closed).toBe(true)
  })

  test('ends where the registry takes no more bytes', async () => {
    const { createServer } = await import('node:net')
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', (data) => {
        const post = data.toString('latin1').startsWith('POST')
        const head = data.toString('latin1').startsWith('HEAD')
        if (head) socket.end('HTTP/1.1 404 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
        else if (post) socket.end('HTTP/1.1 202 x\r\nlocation: /put\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
        else socket.pause()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const large = noise(8 * 1024 * 1024)
    const { registry } = testRegistry({ limits: { attempts: 1, answerTimeoutMs: 150 } })
    await expect(registry.push(`127.0.0.1:${port}/a`, descriptorOf(large), () => streamOf(large))).rejects.toMatchObject({
      code: 'REGISTRY_SILENT',
    })
    server.close()
  })
})

describe('pushing a manifest to a remote registry', () => {
  const { bytes, descriptor } = artifactOf(blob)
  const subject: Descriptor = descriptor
  const referrer = artifactOf(descriptorOf(noise(3)), {
    artifactType: 'application/vnd.example.sbom',
    subject,
    annotations: { why: 'test' },
  })
  const tag = subject.digest.replace(':', '-')

  test('stores it by digest under its own type, after checking it', async () => {
    const peer = await memoryRegistry()
    const { registry } = testRegistry()
    await registry.push(`${peer.host}/a`, descriptor, () => streamOf(bytes))
    expect(parts(peer)).toEqual(['PUT manifests/#'])
    expect(peer.manifests.get(descriptor.digest)?.type).toBe(mediaTypes.manifest)
    const nonsense = bytesOf({ schemaVersion: 1 })
    const wrong = descriptorOf(nonsense, mediaTypes.manifest)
    await expect(registry.push(`${peer.host}/a`, wrong, () => streamOf(nonsense))).rejects.toMatchObject({ code: 'INVALID_MANIFEST' })
    await expect(registry.push(`${peer.host}/a`, descriptor, () => streamOf(nonsense))).rejects.toMatchObject({ code: 'TRUNCATED' })
    expect(peer.seen.length).toBe(1)
  })

  test('rejects a registry that says it stored something else', async () => {
    const peer = await hostileRegistry((_, response) => void response.writeHead(201, { 'docker-content-digest': blob.digest }).end())
    await expect(testRegistry().registry.push(`${peer.host}/a`, descriptor, () => streamOf(bytes))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    })
  })

  test('tries again for a moment where the registry does not see the blobs yet', async () => {
    let blind = 2
    const peer = await memoryRegistry(({ method }, response) => {
      if (method !== 'PUT' || blind-- <= 0) return false
      json(response, 400, { errors: [{ code: 'MANIFEST_BLOB_UNKNOWN' }] })
      return true
    })
    const { registry, pauses } = testRegistry()
    await registry.push(`${peer.host}/a`, descriptor, () => streamOf(bytes))
    expect(pauses.length).toBe(2)
    blind = 1000
    await expect(registry.push(`${peer.host}/a`, descriptor, () => streamOf(bytes))).rejects.toMatchObject({ code: 'REGISTRY_REFUSED' })
  })

  test('lists a referrer under the tag of its subject where the registry does not say OCI-Subject, and keeps what stands there', async () => {
    const peer = await memoryRegistry()
    const { registry } = testRegistry()
    const before = { schemaVersion: 2, mediaType: mediaTypes.index, 'x-other': 1, manifests: [{ ...subject, 'x-unknown': [2] }] }
    peer.manifests.set(tag, { type: mediaTypes.index, body: Buffer.from(bytesOf(before)) })
    await registry.push(`${peer.host}/a`, referrer.descriptor, () => streamOf(referrer.bytes))
    await registry.push(`${peer.host}/a`, referrer.descriptor, () => streamOf(referrer.bytes))
    expect(JSON.parse(peer.manifests.get(tag)?.body.toString() ?? '')).toEqual({
      ...before,
      manifests: [
        ...before.manifests,
        { ...referrer.descriptor, artifactType: 'application/vnd.example.sbom', annotations: { why: 'test' } },
      ],
    })
  })

  test('leaves the list to a registry that says OCI-Subject', async () => {
    const peer = await hostileRegistry((_, response) => void response.writeHead(201, { 'oci-subject': subject.digest }).end())
    await testRegistry().registry.push(`${peer.host}/a`, referrer.descriptor, () => streamOf(referrer.bytes))
    expect(parts(peer)).toEqual(['PUT manifests/#'])
  })

  test('adds its referrer again where another writer came between, and says so where that never ends', async () => {
    const other = bytesOf({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: [subject] })
    let rivals = 2
    const overwritten = (forever: boolean) =>
      memoryRegistry(({ method, url, headers }, response) => {
        if (!url.endsWith(tag) || method !== 'GET') return false
        if (!forever && rivals-- < 0) return false
        response.writeHead(200, { 'content-type': mediaTypes.index, etag: '"v1"' }).end(other)
        return headers !== undefined
      })
    const peer = await overwritten(false)
    await testRegistry().registry.push(`${peer.host}/a`, referrer.descriptor, () => streamOf(referrer.bytes))
    expect(JSON.parse(peer.manifests.get(tag)?.body.toString() ?? '').manifests.length).toBe(2)
    expect(peer.seen.find(({ method, url }) => method === 'PUT' && url.endsWith(tag))?.headers['if-match']).toBe('"v1"')
    const lost = await overwritten(true)
    await expect(testRegistry().registry.push(`${lost.host}/a`, referrer.descriptor, () => streamOf(referrer.bytes))).rejects.toMatchObject(
      {
        code: 'REGISTRY_UNAVAILABLE',
      },
    )
  })

  test('does not overwrite a tag of that name which is no list', async () => {
    const peer = await memoryRegistry()
    peer.manifests.set(tag, { type: mediaTypes.manifest, body: Buffer.from(bytes) })
    await expect(testRegistry().registry.push(`${peer.host}/a`, referrer.descriptor, () => streamOf(referrer.bytes))).rejects.toMatchObject(
      {
        code: 'INVALID_MANIFEST',
      },
    )
    expect(peer.manifests.get(tag)?.body.equals(bytes)).toBe(true)
  })

  test('tags a manifest with its own bytes, and nothing that the repository does not hold', async () => {
    const peer = await memoryRegistry()
    const { registry } = testRegistry()
    await registry.push(`${peer.host}/a`, descriptor, () => streamOf(bytes))
    await registry.tag(descriptor, `${peer.host}/a:1.0.0`)
    expect(peer.manifests.get('1.0.0')?.body.equals(bytes)).toBe(true)
    await expect(registry.tag(referrer.descriptor, `${peer.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    for (const reference of [`${peer.host}/a`, `${peer.host}/a:1.0.0@${blob.digest}`]) {
      await expect(registry.tag(descriptor, reference)).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    }
  })
})
