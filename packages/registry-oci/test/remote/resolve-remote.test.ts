import { digestOf, mediaTypes, OtaError } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { artifactOf, bytesOf, descriptorOf, noise } from '../content.ts'
import { type Handler, hostileRegistry, testRegistry } from '../hostile-registry.ts'

const { bytes, descriptor } = artifactOf(descriptorOf(noise(100)))
const other = digestOf(noise(5))

/** Serves one manifest under every name, with headers that a test may change; `undefined` leaves one out. */
function serving(headers: Readonly<Record<string, string | undefined>> = {}, more: { body?: Uint8Array; head?: number } = {}): Handler {
  return ({ method }, response) => {
    const body = more.body ?? bytes
    const all: Record<string, string | undefined> = {
      'content-type': mediaTypes.manifest,
      'docker-content-digest': digestOf(body),
      'content-length': `${body.length}`,
      ...headers,
    }
    for (const [name, value] of Object.entries(all)) if (value !== undefined) response.setHeader(name, value)
    if (method === 'HEAD' && more.head !== undefined) return void response.writeHead(more.head).end()
    response.end(method === 'HEAD' ? undefined : body)
  }
}

describe('resolving at a remote registry', () => {
  test('asks HEAD, for all four types of manifest, and believes size, type and digest', async () => {
    const peer = await hostileRegistry(serving())
    const { registry } = testRegistry()
    expect(await registry.resolve(`${peer.host}/a/b:1.0.0`)).toEqual(descriptor)
    expect(peer.lines()).toEqual(['HEAD /v2/a/b/manifests/1.0.0'])
    expect(peer.seen[0]?.headers.accept?.split(', ').sort()).toEqual(
      [mediaTypes.manifest, mediaTypes.index, mediaTypes.dockerManifest, mediaTypes.dockerIndex].sort(),
    )
    expect(peer.seen[0]?.headers['accept-encoding']).toBe('identity')
  })

  test('asks for the digest alone where a reference has tag and digest', async () => {
    const peer = await hostileRegistry(serving())
    await testRegistry().registry.resolve(`${peer.host}/a:1.0.0@${descriptor.digest}`)
    expect(peer.lines()).toEqual([`HEAD /v2/a/manifests/${descriptor.digest}`])
  })

  test('gets the bytes and hashes them where HEAD is not known or says too little', async () => {
    const cases = [
      serving({}, { head: 405 }),
      serving({}, { head: 400 }),
      serving({ 'docker-content-digest': undefined }),
      serving({ 'content-length': undefined, 'transfer-encoding': 'chunked' }),
    ]
    for (const handler of cases) {
      const peer = await hostileRegistry(handler)
      expect(await testRegistry().registry.resolve(`${peer.host}/a:1.0.0`)).toEqual(descriptor)
      expect(peer.lines()).toEqual(['HEAD /v2/a/manifests/1.0.0', 'GET /v2/a/manifests/1.0.0'])
    }
  })

  test('needs a tag or a digest: nothing is assumed, and nothing asked', async () => {
    const peer = await hostileRegistry(serving())
    await expect(testRegistry().registry.resolve(`${peer.host}/a`)).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    expect(peer.seen).toEqual([])
  })

  test('rejects a registry that answers for another digest, in HEAD or in the bytes', async () => {
    const head = await hostileRegistry(serving())
    await expect(testRegistry().registry.resolve(`${head.host}/a@${other}`)).rejects.toMatchObject({
      code: 'MANIFEST_MISMATCH',
      fault: 'rejected',
    })
    const body = await hostileRegistry(serving({ 'docker-content-digest': undefined }, { head: 405 }))
    await expect(testRegistry().registry.resolve(`${body.host}/a@${other}`)).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' })
    const tag = await hostileRegistry(serving({ 'docker-content-digest': other }, { head: 405 }))
    await expect(testRegistry().registry.resolve(`${tag.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'MANIFEST_MISMATCH' })
  })

  test('rejects what is no manifest by its type, and a manifest whose mediaType field says another type', async () => {
    for (const type of ['text/html; charset=utf-8', undefined, 'application/vnd.docker.distribution.manifest.v1+prettyjws']) {
      const peer = await hostileRegistry(serving({ 'content-type': type }))
      await expect(testRegistry().registry.resolve(`${peer.host}/a:1.0.0`)).rejects.toMatchObject({
        code: 'NOT_A_MANIFEST',
        fault: 'rejected',
      })
    }
    const confused = await hostileRegistry(serving({ 'content-type': mediaTypes.index, 'docker-content-digest': undefined }))
    await expect(testRegistry().registry.resolve(`${confused.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'MEDIA_TYPE_MISMATCH' })
  })

  test('takes a type with parameters and capitals for what it is', async () => {
    const peer = await hostileRegistry(serving({ 'content-type': `${mediaTypes.manifest.toUpperCase()}; charset=utf-8` }))
    expect(await testRegistry().registry.resolve(`${peer.host}/a:1.0.0`)).toEqual(descriptor)
  })

  test('does not read a manifest of more than 4 MiB, announced or not', async () => {
    const announced = await hostileRegistry(serving({ 'content-length': '4194305' }))
    await expect(testRegistry().registry.resolve(`${announced.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'MANIFEST_TOO_LARGE' })
    let sent = 0
    const endless = await hostileRegistry(({ method }, response) => {
      response.writeHead(method === 'HEAD' ? 405 : 200, { 'content-type': mediaTypes.manifest })
      if (method === 'HEAD') return void response.end()
      const chunk = Buffer.alloc(65_536, 32)
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length
      }
      response.on('drain', more)
      more()
    })
    await expect(testRegistry().registry.resolve(`${endless.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'MANIFEST_TOO_LARGE' })
    expect(sent).toBeLessThan(16 * 1024 * 1024)
  })

  test('says NOT_FOUND for 404 at once', async () => {
    const peer = await hostileRegistry((_, response) => void response.writeHead(404).end())
    await expect(testRegistry().registry.resolve(`${peer.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'NOT_FOUND', fault: 'invalid' })
    expect(peer.lines()).toEqual(['HEAD /v2/a/manifests/1.0.0'])
  })

  test('names the registry’s own codes, and nothing else that it writes', async () => {
    const body = { errors: [{ code: 'MANIFEST_INVALID', message: 'secret-token-in-text' }, { code: 'secret_TOKEN' }, null, 7] }
    const peer = await hostileRegistry(({ method }, response) => {
      response
        .writeHead(method === 'HEAD' ? 405 : 418, { 'content-type': 'application/json' })
        .end(method === 'HEAD' ? undefined : JSON.stringify(body))
    })
    const error = await testRegistry()
      .registry.resolve(`${peer.host}/a:1.0.0`)
      .catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'REGISTRY_REFUSED', message: expect.stringContaining('418 MANIFEST_INVALID') })
    expect(JSON.stringify(error)).not.toMatch(/secret/i)
  })

  test('lets nothing but refusals through, whatever headers and bytes a registry mixes', async () => {
    let answer: { status: number; headers: Record<string, string>; body: Uint8Array } = { status: 200, headers: {}, body: bytes }
    const peer = await hostileRegistry(({ method }, response) => {
      response.writeHead(answer.status, answer.headers).end(method === 'HEAD' ? undefined : answer.body)
    })
    const { registry } = testRegistry({ limits: { attempts: 1 } })
    const status = fc.constantFrom(200, 201, 204, 206, 301, 307, 400, 401, 404, 405, 416, 418, 429, 500)
    const headers = fc.record(
      {
        'content-type': fc.constantFrom(mediaTypes.manifest, mediaTypes.index, 'text/html', '', ';', 'a/b'),
        'docker-content-digest': fc.constantFrom(descriptor.digest, other, 'sha256:', 'x', descriptor.digest.toUpperCase()),
        location: fc.constantFrom('/', '//', 'http://[', 'ftp://x', 'https://user:pw@127.0.0.1/', '%', 'http://127.0.0.1:1/'),
        'www-authenticate': fc.constantFrom(
          'Bearer',
          'Bearer realm="x"',
          'Basic realm="',
          'Bearer realm="ftp://x/"',
          'Bearer realm="http://127.0.0.1:1/"',
        ),
        'retry-after': fc.constantFrom('-1', '1e9', 'never', '999999999'),
      },
      { requiredKeys: [] },
    )
    const body = fc.constantFrom(
      bytes,
      bytes.subarray(0, 50),
      noise(50),
      new Uint8Array(),
      bytesOf(null),
      bytesOf({ mediaType: 7 }),
      bytesOf([]),
    )
    await fc.assert(
      fc.asyncProperty(status, headers, body, fc.boolean(), async (status, headers, body, pinned) => {
        answer = { status, headers, body }
        try {
          const found = await registry.resolve(`${peer.host}/a${pinned ? `@${descriptor.digest}` : ':1.0.0'}`)
          expect(found.mediaType).toBe(headers['content-type'])
          if (pinned) expect(found.digest).toBe(descriptor.digest)
        } catch (error) {
          expect(error).toBeInstanceOf(OtaError)
          expect(['invalid', 'rejected', 'unavailable']).toContain((error as OtaError).fault)
        }
      }),
      { numRuns: 150, seed: 7 },
    )
  })
})
