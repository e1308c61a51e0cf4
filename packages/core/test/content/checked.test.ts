import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CheckedContent, checked } from '../../src/content/checked.ts'
import { crc32 } from '../../src/content/crc32.ts'
import { type ByteStream, collect, type Descriptor, type DigestAlgorithm, digestOf, streamOf } from '../../src/index.ts'

type Claim = Pick<Descriptor, 'digest' | 'size'>

const content = Uint8Array.from({ length: 1000 }, (_, index) => (index * 7) % 256)
const claimOf = (bytes: Uint8Array, algorithm?: DigestAlgorithm): Claim => ({ digest: digestOf(bytes, algorithm), size: bytes.length })

/** A source that remembers whether it was read to its end, closed, or left open. */
function watched(chunks: Iterable<unknown>, atEnd: () => Promise<void> = async () => {}) {
  const seen = { given: 0, closed: false }
  async function* stream() {
    try {
      for (const chunk of chunks) {
        seen.given += 1
        yield chunk as Uint8Array
      }
      await atEnd()
    } finally {
      seen.closed = true
    }
  }
  return { seen, stream: stream() as ByteStream }
}

async function read(stream: ByteStream): Promise<{ got: Uint8Array[]; error?: unknown }> {
  const got: Uint8Array[] = []
  try {
    for await (const chunk of stream) got.push(chunk)
    return { got }
  } catch (error) {
    return { got, error }
  }
}

describe('checked', () => {
  it.each(['sha256', 'sha384', 'sha512'] as const)('passes right content on unchanged and tells its facts once (%s)', async (algorithm) => {
    const found: CheckedContent[] = []
    const stream = checked(streamOf(content, 64), claimOf(content, algorithm), { onDone: (facts) => found.push(facts) })
    expect(await collect(stream, 1000)).toEqual(content)
    expect(found).toEqual([{ ...claimOf(content, algorithm), crc32: crc32(content) }])
  })

  it('passes right content on however it is cut, empty chunks included', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), async (chunks) => {
        const whole = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
        const { seen, stream } = watched(chunks)
        expect(await collect(checked(stream, claimOf(whole)), 1000)).toEqual(whole)
        expect(seen.closed).toBe(true)
      }),
    )
  })

  it('accepts empty content', async () => {
    const found: CheckedContent[] = []
    const empty = new Uint8Array()
    expect(await read(checked(streamOf(empty), claimOf(empty), { onDone: (facts) => found.push(facts) }))).toEqual({ got: [] })
    expect(found).toEqual([{ ...claimOf(empty), crc32: 0 }])
  })

  it('refuses the first byte too many, closes the source, and never passes the last chunk on', async () => {
    const { seen, stream } = watched([content.subarray(0, 500), content.subarray(500), Uint8Array.of(0), content])
    const { got, error } = await read(checked(stream, claimOf(content)))
    expect(error).toMatchObject({ code: 'TRAILING_BYTES', fault: 'rejected' })
    expect(got).toEqual([content.subarray(0, 500)])
    expect(seen).toEqual({ given: 3, closed: true })
  })

  it('refuses a chunk that is longer than the whole before it is hashed', async () => {
    const { seen, stream } = watched([new Uint8Array(1001), content])
    expect((await read(checked(stream, claimOf(content)))).error).toMatchObject({ code: 'TRAILING_BYTES' })
    expect(seen).toEqual({ given: 1, closed: true })
  })

  it('refuses content that ends early', async () => {
    const { got, error } = await read(checked(streamOf(content.subarray(0, 999), 333), claimOf(content)))
    expect(error).toMatchObject({ code: 'TRUNCATED', fault: 'rejected' })
    expect(got.reduce((sum, { length }) => sum + length, 0)).toBe(999)
  })

  it('refuses one flipped bit anywhere, before the last chunk is passed on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(999), fc.nat(7), fc.integer({ min: 1, max: 1000 }), async (at, bit, chunkBytes) => {
        const flipped = content.slice()
        flipped[at] = (flipped[at] as number) ^ (1 << bit)
        const done: unknown[] = []
        const { got, error } = await read(checked(streamOf(flipped, chunkBytes), claimOf(content), { onDone: (facts) => done.push(facts) }))
        expect(error).toMatchObject({ code: 'DIGEST_MISMATCH', fault: 'rejected' })
        expect(got.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(1000)
        expect(done).toEqual([])
      }),
    )
  })

  it('passes the error of its source on and keeps failing with it', async () => {
    const broken = new Error('socket hang up')
    const { stream } = watched([content.subarray(0, 10)], () => Promise.reject(broken))
    const iterator = checked(stream, claimOf(content))[Symbol.asyncIterator]()
    await iterator.next()
    await expect(iterator.next()).rejects.toBe(broken)
    await expect(iterator.next()).rejects.toBe(broken)
  })

  it('closes its source when the reader stops early', async () => {
    const { seen, stream } = watched([content.subarray(0, 10), content.subarray(10)])
    for await (const _ of checked(stream, claimOf(content))) break
    expect(seen).toEqual({ given: 1, closed: true })
  })

  it('does not take a source that was already read for empty content', async () => {
    const stream = checked(streamOf(content), claimOf(content))
    await collect(stream, 1000)
    expect((await read(stream)).error).toMatchObject({ code: 'TRUNCATED' })
  })

  it('leaves a source that hangs as soon as its signal fires', async () => {
    const controller = new AbortController()
    const { stream } = watched([content.subarray(0, 10)], () => new Promise(() => {}))
    const iterator = checked(stream, claimOf(content), { signal: controller.signal })[Symbol.asyncIterator]()
    await iterator.next()
    const pending = iterator.next()
    controller.abort(new Error('enough'))
    await expect(pending).rejects.toMatchObject({ code: 'ABORTED', fault: 'aborted', cause: { message: 'enough' } })
    await expect(iterator.next()).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('closes its source when its signal fires between chunks, or has fired before', async () => {
    for (const early of [true, false]) {
      const controller = new AbortController()
      if (early) controller.abort()
      const { seen, stream } = watched([content.subarray(0, 10), content.subarray(10)])
      const iterator = checked(stream, claimOf(content), { signal: controller.signal })[Symbol.asyncIterator]()
      if (!early) await iterator.next()
      controller.abort()
      await expect(iterator.next()).rejects.toMatchObject({ code: 'ABORTED' })
      // A generator that never ran has nothing to close.
      expect(seen).toEqual(early ? { given: 0, closed: false } : { given: 1, closed: true })
    }
  })

  it('is not disturbed by a signal that fires after everything was checked', async () => {
    const controller = new AbortController()
    const iterator = checked(streamOf(content), claimOf(content), { signal: controller.signal })[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toEqual(content)
    controller.abort()
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })

  it('tells its progress', async () => {
    const told: number[] = []
    await collect(checked(streamOf(content, 400), claimOf(content), { onProgress: (done) => told.push(done) }), 1000)
    expect(told).toEqual([400, 800, 1000])
  })

  it('closes its source when a callback of its caller throws', async () => {
    const { seen, stream } = watched([content.subarray(0, 10), content.subarray(10)])
    const onProgress = (): void => {
      throw new TypeError('mine')
    }
    expect((await read(checked(stream, claimOf(content), { onProgress }))).error).toBeInstanceOf(TypeError)
    expect(seen).toEqual({ given: 1, closed: true })
  })

  it.each([Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY, 2 ** 53, '5' as unknown as number])('refuses the size %s at once', (size) => {
    expect(() => checked(streamOf(content), { ...claimOf(content), size })).toThrow(expect.objectContaining({ code: 'INVALID_DESCRIPTOR' }))
  })

  it('refuses what is no digest at once, and chunks that are no bytes', async () => {
    const digest = 'md5:d41d8cd98f00b204e9800998ecf8427e' as Claim['digest']
    expect(() => checked(streamOf(content), { digest, size: 0 })).toThrow(expect.objectContaining({ code: 'INVALID_DIGEST' }))
    const { stream } = watched(['text'])
    expect((await read(checked(stream, claimOf(content)))).error).toMatchObject({ code: 'BROKEN_PLUGIN', fault: 'internal' })
  })
})
