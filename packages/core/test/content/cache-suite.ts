import { describe, expect, it, vi } from 'vitest'
import { crc32 } from '../../src/content/crc32.ts'
import { type ByteStream, type Cache, collect, type Descriptor, streamOf } from '../../src/index.ts'
import { contentOf, contextOf, descriptorOf, firstDifference } from './cache-content.ts'

/** A source of bytes that counts how often it is opened. */
export function sourceOf(bytes: Uint8Array) {
  return vi.fn(async (_: { readonly signal: AbortSignal }): Promise<ByteStream> => streamOf(bytes))
}

/** A source that gives what it is told, when it is told, and remembers the signal it was opened with. */
export function gatedSource() {
  let signal: AbortSignal | undefined
  const opening = Promise.withResolvers<void>()
  const waiting: { resolve: (chunk: Uint8Array | undefined) => void; reject: (error: unknown) => void }[] = []
  const asked: (() => void)[] = []
  let asks = 0
  async function* stream(): ByteStream {
    while (true) {
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array | undefined>()
      waiting.push({ resolve, reject })
      asks += 1
      for (const tell of asked.splice(0)) tell()
      const chunk = await promise
      if (chunk === undefined) return
      yield chunk
    }
  }
  const open = vi.fn(async (options: { readonly signal: AbortSignal }): Promise<ByteStream> => {
    signal = options.signal
    opening.resolve()
    return stream()
  })
  return {
    open,
    /** Resolves when the source is open. */
    opened: opening.promise,
    signal: () => signal as AbortSignal,
    give: (chunk: Uint8Array) => waiting.shift()?.resolve(chunk),
    end: () => waiting.shift()?.resolve(undefined),
    fail: (error: unknown) => waiting.shift()?.reject(error),
    /** Resolves when the reader has asked for its chunk number `count`. */
    async asked(count: number): Promise<void> {
      while (asks < count) await new Promise<void>((resolve) => asked.push(resolve))
    },
  }
}

export async function read(
  image: { open(range?: { offset: number; length?: number }): ByteStream },
  range?: { offset: number; length?: number },
) {
  return collect(image.open(range), 2 ** 30)
}

/** What holds for every cache. `make` gives one of at most `limitBytes`. */
export function cacheSuite(name: string, make: (limitBytes: number) => Cache): void {
  const limitBytes = 1_000_000

  describe(name, () => {
    it('holds content once, and gives it back whole and in ranges with its CRC-32', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(1, 300_000)
      const open = sourceOf(bytes)
      const image = await cache.hold(descriptorOf(bytes), open, contextOf())
      expect(image.crc32).toBe(crc32(bytes))
      expect(image.descriptor).toEqual(descriptorOf(bytes))
      expect(firstDifference(await read(image), bytes)).toBeUndefined()
      expect(firstDifference(await read(image, { offset: 299_999 }), bytes.subarray(299_999))).toBeUndefined()
      expect(firstDifference(await read(image, { offset: 65_000, length: 70_000 }), bytes.subarray(65_000, 135_000))).toBeUndefined()
      expect(await read(image, { offset: 300_000 })).toHaveLength(0)
      await cache.hold(descriptorOf(bytes), open, contextOf())
      expect(open).toHaveBeenCalledTimes(1)
    })

    it('holds empty content', async () => {
      const empty = new Uint8Array()
      const image = await make(limitBytes).hold(descriptorOf(empty), sourceOf(empty), contextOf())
      expect(image.crc32).toBe(0)
      expect(await read(image)).toHaveLength(0)
    })

    it('gives every caller the descriptor it passed', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(1, 10)
      const [one, two] = await Promise.all(
        ['a/one', 'a/two'].map((type) => cache.hold(descriptorOf(bytes, type), sourceOf(bytes), contextOf())),
      )
      expect([one?.descriptor.mediaType, two?.descriptor.mediaType]).toEqual(['a/one', 'a/two'])
    })

    it.each([
      { offset: -1 },
      { offset: 11 },
      { offset: 0, length: 11 },
      { offset: 5, length: 6 },
      { offset: 1.5 },
      { offset: 0, length: -1 },
      { offset: Number.NaN },
      { offset: 2 ** 53, length: 2 ** 53 },
    ])('refuses the range %j of 10 bytes at once', async (range) => {
      const bytes = contentOf(1, 10)
      const image = await make(limitBytes).hold(descriptorOf(bytes), sourceOf(bytes), contextOf())
      const refused = expect.objectContaining({ code: 'INVALID_RANGE', fault: 'invalid' })
      expect(() => image.open(range)).toThrow(refused)
      expect(() => image.body(range)).toThrow(refused)
    })

    it.each([
      ['flipped', 'DIGEST_MISMATCH', (bytes: Uint8Array) => bytes.with(700, (bytes[700] as number) ^ 1)],
      ['cut short', 'TRUNCATED', (bytes: Uint8Array) => bytes.subarray(0, 999)],
      ['one byte too long', 'TRAILING_BYTES', (bytes: Uint8Array) => Uint8Array.of(...bytes, 0)],
      ['empty', 'TRUNCATED', () => new Uint8Array()],
    ])('refuses content that is %s for all who wait, and takes the right one afterwards', async (_, code, spoil) => {
      const cache = make(limitBytes)
      const bytes = contentOf(2, 1000)
      const wrong = sourceOf(spoil(bytes))
      const results = await Promise.allSettled([1, 2, 3].map(() => cache.hold(descriptorOf(bytes), wrong, contextOf())))
      for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { code, fault: 'rejected' } })
      expect(wrong).toHaveBeenCalledTimes(1)
      expect(firstDifference(await read(await cache.hold(descriptorOf(bytes), sourceOf(bytes), contextOf())), bytes)).toBeUndefined()
    })

    it('refuses a wrong size for a digest, before and after the content is held, and lets the right one pass meanwhile', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(3, 1000)
      const lies = [999, 1001, 0].map((size) => ({ ...descriptorOf(bytes), size }))
      const early = Promise.allSettled(lies.map((lie) => cache.hold(lie, sourceOf(bytes), contextOf())))
      const image = await cache.hold(descriptorOf(bytes), sourceOf(bytes), contextOf())
      expect(firstDifference(await read(image), bytes)).toBeUndefined()
      const late = Promise.allSettled(lies.map((lie) => cache.hold(lie, sourceOf(bytes), contextOf())))
      const refused = (code: string): object => ({ status: 'rejected', reason: { code, fault: 'rejected' } })
      expect(await early).toMatchObject(['TRAILING_BYTES', 'TRUNCATED', 'TRAILING_BYTES'].map(refused))
      expect(await late).toMatchObject(Array(3).fill(refused('SIZE_MISMATCH')))
    })

    it.each([Number.NaN, -1, 0.5, 2 ** 53])('refuses the size %s', async (size) => {
      const bytes = contentOf(3, 10)
      await expect(make(limitBytes).hold({ ...descriptorOf(bytes), size }, sourceOf(bytes), contextOf())).rejects.toMatchObject({
        code: 'INVALID_DESCRIPTOR',
      })
    })

    it('refuses what is no digest', async () => {
      const digest = 'sha256:../../x' as Descriptor['digest']
      await expect(
        make(limitBytes).hold({ mediaType: 'a/b', digest, size: 1 }, sourceOf(contentOf(1, 1)), contextOf()),
      ).rejects.toMatchObject({
        code: 'INVALID_DIGEST',
      })
    })

    it('refuses content above its limit without opening the source', async () => {
      const cache = make(limitBytes)
      const open = sourceOf(contentOf(1, 10))
      const large = { ...descriptorOf(contentOf(1, 10)), size: limitBytes + 1 }
      await expect(cache.hold(large, open, contextOf())).rejects.toMatchObject({ code: 'CACHE_FULL', fault: 'unavailable' })
      expect(open).not.toHaveBeenCalled()
    })

    it('shares one download among concurrent callers and tells each its progress', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(4, 200_000)
      const open = sourceOf(bytes)
      const told = [1, 2, 3].map(() => vi.fn())
      const images = await Promise.all(told.map((progress) => cache.hold(descriptorOf(bytes), open, { ...contextOf(), progress })))
      expect(open).toHaveBeenCalledTimes(1)
      for (const image of images) expect(firstDifference(await read(image), bytes)).toBeUndefined()
      for (const progress of told) expect(progress).toHaveBeenLastCalledWith(200_000, 200_000)
    })

    it('lets the first caller go at once, and brings the content to rest for the second', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(5, 1000)
      const source = gatedSource()
      const first = new AbortController()
      const one = cache.hold(descriptorOf(bytes), source.open, contextOf(first.signal))
      const two = cache.hold(descriptorOf(bytes), source.open, contextOf())
      await source.asked(1)
      source.give(bytes.subarray(0, 400))
      first.abort()
      await expect(one).rejects.toMatchObject({ code: 'ABORTED', fault: 'aborted' })
      expect(source.signal().aborted).toBe(false)
      await source.asked(2)
      source.give(bytes.subarray(400))
      await source.asked(3)
      source.end()
      expect(firstDifference(await read(await two), bytes)).toBeUndefined()
      expect(source.open).toHaveBeenCalledTimes(1)
    })

    it('lets the second caller go at once, and brings the content to rest for the first', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(6, 1000)
      const source = gatedSource()
      const second = new AbortController()
      const one = cache.hold(descriptorOf(bytes), source.open, contextOf())
      const two = cache.hold(descriptorOf(bytes), source.open, contextOf(second.signal))
      await source.asked(1)
      second.abort()
      await expect(two).rejects.toMatchObject({ code: 'ABORTED' })
      source.give(bytes)
      await source.asked(2)
      source.end()
      expect(firstDifference(await read(await one), bytes)).toBeUndefined()
    })

    it('aborts a download that hangs when all callers have left, and starts anew for the next', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(7, 1000)
      const source = gatedSource()
      const controllers = [new AbortController(), new AbortController()]
      const results = controllers.map(({ signal }) => cache.hold(descriptorOf(bytes), source.open, contextOf(signal)))
      await source.asked(1)
      source.give(bytes.subarray(0, 400))
      for (const controller of controllers) controller.abort()
      for (const result of await Promise.allSettled(results))
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED' } })
      expect(source.signal().aborted).toBe(true)
      expect(firstDifference(await read(await cache.hold(descriptorOf(bytes), sourceOf(bytes), contextOf())), bytes)).toBeUndefined()
    })

    it('leaves a source that never opens when its callers have left', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(8, 10)
      const controller = new AbortController()
      const opening = Promise.withResolvers<void>()
      const never = (): Promise<ByteStream> => {
        opening.resolve()
        return new Promise(() => {})
      }
      const result = cache.hold(descriptorOf(bytes), never, contextOf(controller.signal))
      await opening.promise
      controller.abort()
      await expect(result).rejects.toMatchObject({ code: 'ABORTED' })
      expect(firstDifference(await read(await cache.hold(descriptorOf(bytes), sourceOf(bytes), contextOf())), bytes)).toBeUndefined()
      await cache.close?.()
    })

    it('refuses a caller whose signal has fired, without opening the source', async () => {
      const bytes = contentOf(8, 10)
      const open = sourceOf(bytes)
      await expect(make(limitBytes).hold(descriptorOf(bytes), open, contextOf(AbortSignal.abort()))).rejects.toMatchObject({
        code: 'ABORTED',
      })
      expect(open).not.toHaveBeenCalled()
    })

    it('fails all who wait with the error of the source, whether it opens or breaks midway', async () => {
      const cache = make(limitBytes)
      const bytes = contentOf(9, 1000)
      const broken = new Error('socket hang up')
      const refused = await Promise.allSettled([1, 2].map(() => cache.hold(descriptorOf(bytes), () => Promise.reject(broken), contextOf())))
      const source = gatedSource()
      const midway = [1, 2].map(() => cache.hold(descriptorOf(bytes), source.open, contextOf()))
      await source.asked(1)
      source.give(bytes.subarray(0, 999))
      await source.asked(2)
      source.fail(broken)
      expect([...refused, ...(await Promise.allSettled(midway))]).toEqual(
        Array.from({ length: 4 }, () => ({ status: 'rejected', reason: broken })),
      )
      expect(firstDifference(await read(await cache.hold(descriptorOf(bytes), sourceOf(bytes), contextOf())), bytes)).toBeUndefined()
    })

    it('evicts what was used least recently, and no more than it must', async () => {
      const cache = make(3000)
      const contents = [1, 2, 3, 4].map((seed) => contentOf(seed, 1000))
      const sources = contents.map(sourceOf)
      const hold = (index: number) =>
        cache.hold(descriptorOf(contents[index] as Uint8Array), sources[index] as ReturnType<typeof sourceOf>, contextOf())
      for (const index of [0, 1, 2]) await hold(index)
      await hold(0)
      await hold(3)
      for (const index of [3, 2, 0]) await hold(index)
      expect(sources.map((source) => source.mock.calls.length)).toEqual([1, 1, 1, 1])
      await hold(1)
      expect(sources.map((source) => source.mock.calls.length)).toEqual([1, 2, 1, 1])
    })

    it('keeps a held image readable after it was evicted', async () => {
      const cache = make(2500)
      const bytes = contentOf(1, 1000)
      const image = await cache.hold(descriptorOf(bytes), sourceOf(bytes), contextOf())
      for (const seed of [2, 3, 4]) await cache.hold(descriptorOf(contentOf(seed, 1000)), sourceOf(contentOf(seed, 1000)), contextOf())
      expect(firstDifference(await read(image, { offset: 1 }), bytes.subarray(1))).toBeUndefined()
    })
  })
}
