import { collect, digestOf, mediaTypes } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { artifactOf, descriptorOf, noise, read } from '../content.ts'
import { hostileRegistry, testRegistry } from '../hostile-registry.ts'

const content = noise(200_000)
const blob = descriptorOf(content)

/** How many bytes came before the end or the error, and the code of the error. */
async function outcome(stream: Promise<AsyncIterable<Uint8Array>>): Promise<{ bytes: number; code?: string }> {
  let bytes = 0
  try {
    for await (const chunk of await stream) bytes += chunk.length
    return { bytes }
  } catch (error) {
    return { bytes, code: (error as { code: string }).code }
  }
}

describe('fetching a blob from a remote registry', () => {
  test('stops at the first byte too many of a body without end', async () => {
    let sent = 0
    const peer = await hostileRegistry((_, response) => {
      response.writeHead(200)
      const more = () => {
        const chunk = Buffer.from(content.subarray(0, 65_536))
        while (!response.destroyed && response.write(chunk)) sent += chunk.length
      }
      response.on('drain', more)
      more()
    })
    const { bytes, code } = await outcome(testRegistry().registry.fetch(`${peer.host}/a`, blob))
    expect(code).toBe('TRAILING_BYTES')
    expect(bytes).toBeLessThan(blob.size)
    expect(sent).toBeLessThan(16 * 1024 * 1024)
  })

  test('never passes on a whole blob that is short, long or of another digest', async () => {
    const changed = Uint8Array.from(content)
    changed[199_999] = (changed[199_999] ?? 0) ^ 1
    const bodies = { TRUNCATED: [content.subarray(0, 199_999)], TRAILING_BYTES: [noise(200_001)], DIGEST_MISMATCH: [changed] }
    for (const [expected, all] of Object.entries(bodies)) {
      for (const body of all) {
        for (const chunked of [true, false]) {
          const peer = await hostileRegistry((_, response) => {
            if (!chunked) response.setHeader('content-length', body.length)
            response.write(body)
            response.end()
          })
          const { bytes, code } = await outcome(testRegistry().registry.fetch(`${peer.host}/a`, blob))
          expect(code).toBe(expected)
          expect(bytes).toBeLessThan(blob.size)
        }
      }
    }
  })

  test('takes a download up again where the connection broke', async () => {
    let starts = 0
    const peer = await hostileRegistry(({ headers }, response) => {
      const from = Number(/^bytes=([0-9]+)-$/.exec(headers.range ?? '')?.[1] ?? 0)
      response.writeHead(from === 0 ? 200 : 206, {
        'content-length': blob.size - from,
        ...(from === 0 ? {} : { 'content-range': `bytes ${from}-${blob.size - 1}/${blob.size}` }),
      })
      starts++
      if (starts > 3) return void response.end(content.subarray(from))
      response.write(content.subarray(from, from + 50_000), () => response.destroy())
    })
    expect(digestOf(await read(testRegistry().registry, `${peer.host}/a`, blob))).toBe(blob.digest)
    expect(peer.seen.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=50000-', 'bytes=100000-', 'bytes=150000-'])
  })

  test('gives up on a registry that breaks every connection', async () => {
    const peer = await hostileRegistry(({ headers }, response) => {
      const from = Number(/^bytes=([0-9]+)-$/.exec(headers.range ?? '')?.[1] ?? 0)
      response.writeHead(from === 0 ? 200 : 206, {
        'content-length': blob.size - from,
        ...(from === 0 ? {} : { 'content-range': `bytes ${from}-${blob.size - 1}/${blob.size}` }),
      })
      response.write(content.subarray(from, from + 1), () => response.destroy())
    })
    const { code } = await outcome(testRegistry().registry.fetch(`${peer.host}/a`, blob))
    expect(code).toBe('REGISTRY_UNAVAILABLE')
    expect(peer.seen.length).toBeLessThan(20)
  })

  test('skips the beginning itself where a registry knows no ranges', async () => {
    const peer = await hostileRegistry((_, response) => void response.end(content))
    const { registry } = testRegistry()
    for (const offset of [1, 65_535, 65_536, 199_999]) {
      expect(digestOf(await read(registry, `${peer.host}/a`, blob, offset))).toBe(digestOf(content.subarray(offset)))
    }
  })

  test('refuses a range that is not the one asked for, too short, too long, or of another blob', async () => {
    const cases: [Record<string, string>, Uint8Array, string][] = [
      [{ 'content-range': `bytes 0-99999/${blob.size}` }, content.subarray(0, 100_000), 'REGISTRY_PROTOCOL'],
      [{ 'content-range': `bytes 100000-199999/300000` }, content.subarray(100_000), 'TRAILING_BYTES'],
      [{}, content.subarray(100_000), 'REGISTRY_PROTOCOL'],
      [{ 'content-range': `bytes 100000-199999/${blob.size}` }, content.subarray(100_001), 'TRUNCATED'],
      [{ 'content-range': `bytes 100000-199999/*` }, content.subarray(99_999), 'TRAILING_BYTES'],
    ]
    for (const [headers, body, expected] of cases) {
      const peer = await hostileRegistry((_, response) => void response.writeHead(206, headers).end(body))
      const { bytes, code } = await outcome(testRegistry().registry.fetch(`${peer.host}/a`, blob, { offset: 100_000 }))
      expect(code).toBe(expected)
      expect(bytes).toBeLessThan(100_000)
    }
    const beyond = await hostileRegistry((_, response) => void response.writeHead(416).end())
    expect((await outcome(testRegistry().registry.fetch(`${beyond.host}/a`, blob, { offset: 100_000 }))).code).toBe('TRUNCATED')
  })

  test('refuses an offset outside the blob without asking, and asks nothing for its very end', async () => {
    const peer = await hostileRegistry((_, response) => void response.end(content))
    const { registry } = testRegistry()
    for (const offset of [-1, 0.5, 200_001, Number.NaN]) {
      await expect(registry.fetch(`${peer.host}/a`, blob, { offset })).rejects.toMatchObject({ code: 'INVALID_RANGE' })
    }
    expect((await read(registry, `${peer.host}/a`, blob, 200_000)).length).toBe(0)
    expect(peer.seen).toEqual([])
  })

  test('refuses encoded bytes, whatever was asked for', async () => {
    const peer = await hostileRegistry((_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(content))
    expect((await outcome(testRegistry().registry.fetch(`${peer.host}/a`, blob))).code).toBe('CONTENT_ENCODED')
    expect(peer.seen[0]?.headers['accept-encoding']).toBe('identity')
  })

  test('ends when the registry stalls, before and within the body, and when the caller cancels', async () => {
    const silent = await hostileRegistry(() => {})
    const limits = { attempts: 1, answerTimeoutMs: 60, idleTimeoutMs: 60 }
    expect((await outcome(testRegistry({ limits }).registry.fetch(`${silent.host}/a`, blob))).code).toBe('REGISTRY_SILENT')

    const stalling = await hostileRegistry(
      (_, response) => void response.writeHead(200, { 'content-length': blob.size }).write(content.subarray(0, 1000)),
    )
    expect((await outcome(testRegistry({ limits }).registry.fetch(`${stalling.host}/a`, blob))).code).toBe('REGISTRY_SILENT')

    const controller = new AbortController()
    const stream = await testRegistry().registry.fetch(`${stalling.host}/a`, blob, { signal: controller.signal })
    setTimeout(() => controller.abort(), 20)
    await expect(collect(stream, blob.size)).rejects.toMatchObject({ code: 'ABORTED', fault: 'aborted' })
    await expect(testRegistry().registry.fetch(`${silent.host}/a`, blob, { signal: AbortSignal.timeout(20) })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })

  test('does not blame the registry for a reader who takes his time', async () => {
    const peer = await hostileRegistry((_, response) => void response.end(content))
    const { registry } = testRegistry({ limits: { idleTimeoutMs: 40 } })
    const chunks = (await registry.fetch(`${peer.host}/a`, blob))[Symbol.asyncIterator]()
    let bytes = (await chunks.next()).value?.length ?? 0
    await new Promise((resolve) => setTimeout(resolve, 120))
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) bytes += next.value.length
    expect(bytes).toBe(blob.size)
  })

  test('frees the connection when the reader leaves early', async () => {
    let closed = (): void => {}
    const gone = new Promise<void>((resolve) => {
      closed = resolve
    })
    const peer = await hostileRegistry((_, response) => {
      response.on('close', closed)
      response.writeHead(200, { 'content-length': blob.size }).write(content.subarray(0, 100_000))
    })
    for await (const _ of await testRegistry().registry.fetch(`${peer.host}/a`, blob)) break
    await gone
  })
})

describe('fetching a manifest from a remote registry', () => {
  const { bytes, descriptor } = artifactOf(blob)

  test('checks type, size and digest before the first byte is passed on', async () => {
    const cases: [string, Uint8Array, string][] = [
      [mediaTypes.dockerManifest, bytes, 'MEDIA_TYPE_MISMATCH'],
      ['text/html', bytes, 'NOT_A_MANIFEST'],
      [mediaTypes.manifest, noise(descriptor.size), 'MANIFEST_MISMATCH'],
      [mediaTypes.manifest, bytes.subarray(1), 'MANIFEST_MISMATCH'],
    ]
    for (const [type, body, expected] of cases) {
      const peer = await hostileRegistry((_, response) => void response.writeHead(200, { 'content-type': type }).end(body))
      expect(await outcome(testRegistry().registry.fetch(`${peer.host}/a`, descriptor))).toEqual({ bytes: 0, code: expected })
    }
    const peer = await hostileRegistry((_, response) => void response.writeHead(200, { 'content-type': mediaTypes.manifest }).end(bytes))
    const { registry } = testRegistry()
    const wrongSize = { ...descriptor, size: descriptor.size + 1 }
    expect(await outcome(registry.fetch(`${peer.host}/a`, wrongSize))).toEqual({ bytes: 0, code: 'SIZE_MISMATCH' })
    const wrongType = { ...descriptor, mediaType: mediaTypes.index }
    expect(await outcome(registry.fetch(`${peer.host}/a`, wrongType))).toEqual({ bytes: 0, code: 'MEDIA_TYPE_MISMATCH' })
    expect(digestOf(await read(registry, `${peer.host}/a`, descriptor))).toBe(descriptor.digest)
    expect(digestOf(await read(registry, `${peer.host}/a`, descriptor, 10))).toBe(digestOf(bytes.subarray(10)))
  })
})
