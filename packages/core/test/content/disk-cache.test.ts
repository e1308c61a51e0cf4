import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { chmod, link, mkdir, open as openFile, readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type DiskCacheOptions, diskCache } from '../../src/content/disk-cache.ts'
import {
  type Body,
  type ByteStream,
  type Cache,
  collect,
  type Descriptor,
  digestHex,
  type FileRange,
  type HeldImage,
} from '../../src/index.ts'
import { contentOf, contextOf, descriptorOf, firstDifference } from './cache-content.ts'
import { cacheSuite, gatedSource, read, sourceOf } from './cache-suite.ts'

const folders: string[] = []
const caches: Cache[] = []
const children: ChildProcess[] = []

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'reflash-cache-'))
  folders.push(path)
  return path
}

function open(options: Partial<DiskCacheOptions> = {}): Cache {
  const cache = diskCache({ directory: folder(), ...options })
  caches.push(cache)
  return cache
}

afterEach(async () => {
  vi.restoreAllMocks()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const cache of caches.splice(0)) await cache.close?.()
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true })
})

function hold(cache: Cache, bytes: Uint8Array, source = sourceOf(bytes)): Promise<HeldImage> {
  return cache.hold(descriptorOf(bytes), source, contextOf())
}

const never = (): Promise<ByteStream> => Promise.reject(new Error('the source was opened'))
const pathOf = (directory: string, { digest }: Descriptor): string => join(directory, 'blobs', 'sha256', digestHex(digest))
const incoming = (directory: string): Promise<string[]> => readdir(join(directory, 'incoming'))
const isFile = (body: Body): body is FileRange => 'path' in body

async function filesIn(directory: string): Promise<string[]> {
  return (await readdir(join(directory, 'blobs', 'sha256'))).sort()
}

async function storedBytes(directory: string): Promise<number> {
  const sizes = await Promise.all(
    (await filesIn(directory)).map(async (name) => (await stat(join(directory, 'blobs', 'sha256', name))).size),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Writes into a file and puts its times back, later than the last change as the file system counts. */
function spoil(path: string, bytes: Uint8Array): void {
  const { atime, mtime, ctimeMs } = statSync(path)
  do {
    writeFileSync(path, bytes.with(77, (bytes[77] as number) ^ 4))
    utimesSync(path, atime, mtime)
  } while (statSync(path).ctimeMs === ctimeMs)
}

async function bytesOf(body: Body): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body
  if (!isFile(body)) return collect(body, 2 ** 30)
  return new Uint8Array(await readFile(body.path)).subarray(body.offset, body.offset + body.length)
}

cacheSuite('diskCache with content in memory', (limitBytes) => open({ limitBytes }))
cacheSuite('diskCache without', (limitBytes) => open({ limitBytes, hotBytes: 0 }))

describe('diskCache', () => {
  it('does nothing to the disk before its first call', async () => {
    const directory = join(folder(), 'not', 'yet')
    const cache = open({ directory })
    expect(existsSync(directory)).toBe(false)
    await hold(cache, contentOf(1, 10))
    expect(existsSync(directory)).toBe(true)
  })

  it.each([
    { directory: '' },
    { directory: 7 as unknown as string },
    { limitBytes: -1 },
    { limitBytes: Number.NaN },
    { hotBytes: 1.5 },
    { hotEntryBytes: Number.POSITIVE_INFINITY },
  ])('refuses the options %j at once', (options) => {
    expect(() => diskCache({ directory: 'x', ...options })).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS', fault: 'invalid' }))
  })

  it('keeps what it stores to its owner', async () => {
    const directory = join(folder(), 'cache')
    const bytes = contentOf(1, 10)
    await hold(open({ directory }), bytes)
    const modes = await Promise.all(
      ['.', 'blobs', 'blobs/sha256', 'incoming', 'reflash-cache.lock'].map(
        async (path) => (await stat(join(directory, path))).mode & 0o777,
      ),
    )
    expect(modes).toEqual([0o700, 0o700, 0o700, 0o700, 0o600])
    expect((await stat(pathOf(directory, descriptorOf(bytes)))).mode & 0o777).toBe(0o600)
  })

  it('refuses a directory that holds something else, such as an OCI layout, and leaves it alone', async () => {
    const directory = folder()
    await mkdir(join(directory, 'blobs'))
    await writeFile(join(directory, 'oci-layout'), '{}')
    await expect(hold(open({ directory }), contentOf(1, 10))).rejects.toMatchObject({ code: 'INVALID_OPTIONS' })
    expect((await readdir(directory)).sort()).toEqual(['blobs', 'oci-layout'])
  })

  it('writes small and large chunks alike', async () => {
    const bytes = contentOf(1, 3_500_000)
    async function* ragged(): ByteStream {
      let size = 1
      for (let offset = 0; offset < bytes.length; offset += size) {
        size = offset < 3000 ? 1 : (size * 7 + 1) % 1_200_000
        yield bytes.subarray(offset, offset + size)
      }
    }
    const image = await open({ hotBytes: 0 }).hold(descriptorOf(bytes), async () => ragged(), contextOf())
    expect(firstDifference(await read(image), bytes)).toBeUndefined()
    expect(firstDifference(await read(image, { offset: 262_143, length: 524_290 }), bytes.subarray(262_143, 786_433))).toBeUndefined()
  })

  it('leaves no temporary file behind a failed, refused or abandoned download', async () => {
    const directory = folder()
    const cache = open({ directory })
    const bytes = contentOf(1, 2_000_000)
    const wrong = sourceOf(bytes.with(1_999_999, 0xaa ^ (bytes[1_999_999] as number)))
    await expect(hold(cache, bytes, wrong)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    const source = gatedSource()
    const controller = new AbortController()
    const left = cache.hold(descriptorOf(bytes), source.open, contextOf(controller.signal))
    await source.asked(1)
    source.give(bytes.subarray(0, 1_500_000))
    await source.asked(2)
    expect(await incoming(directory)).toHaveLength(1)
    controller.abort()
    await expect(left).rejects.toMatchObject({ code: 'ABORTED' })
    await cache.close?.()
    expect(await incoming(directory)).toEqual([])
    expect(await filesIn(directory)).toEqual([])
  })
})

describe('diskCache after a restart', () => {
  async function restarted(directory: string, options: Partial<DiskCacheOptions> = {}): Promise<Cache> {
    await caches.at(-1)?.close?.()
    return open({ directory, ...options })
  }

  it('serves what it holds without the source, once it has checked it', async () => {
    const directory = folder()
    const bytes = contentOf(1, 500_000)
    const { crc32 } = await hold(open({ directory }), bytes)
    const image = await (await restarted(directory)).hold(descriptorOf(bytes), never, contextOf())
    expect(image.crc32).toBe(crc32)
    expect(firstDifference(await read(image), bytes)).toBeUndefined()
  })

  it.each([
    ['flipped', async (path: string, bytes: Uint8Array) => writeFile(path, bytes.with(77, (bytes[77] as number) ^ 4))],
    ['cut short', async (path: string) => truncate(path, 99_999)],
    ['emptied', async (path: string) => truncate(path, 0)],
    ['one byte longer', async (path: string, bytes: Uint8Array) => writeFile(path, Uint8Array.of(...bytes, 1))],
    ['gone', async (path: string) => rm(path)],
    [
      'a link to other content',
      async (path: string, bytes: Uint8Array) => {
        await writeFile(`${path}.evil`, bytes.with(0, (bytes[0] as number) ^ 1))
        await rm(path)
        await symlink(`${path}.evil`, path)
      },
    ],
  ])('fetches again what was %s at rest, and serves nothing of it', async (_, spoil) => {
    const directory = folder()
    const bytes = contentOf(1, 100_000)
    await hold(open({ directory, hotBytes: 0 }), bytes)
    await caches.at(-1)?.close?.()
    await spoil(pathOf(directory, descriptorOf(bytes)), bytes)
    const cache = open({ directory, hotBytes: 0 })
    const source = sourceOf(bytes)
    const images = await Promise.all([1, 2].map(() => cache.hold(descriptorOf(bytes), source, contextOf())))
    for (const image of images) expect(firstDifference(await read(image), bytes)).toBeUndefined()
    expect(source).toHaveBeenCalledTimes(1)
    expect(firstDifference(await bytesOf(await (images[0] as HeldImage).body()), bytes)).toBeUndefined()
  })

  it('serves nothing of what was written into a file while it runs, whose times were put back', async () => {
    const directory = folder()
    const bytes = contentOf(1, 100_000)
    const cache = open({ directory, hotBytes: 0 })
    const source = sourceOf(bytes)
    const image = await hold(cache, bytes, source)
    const path = pathOf(directory, descriptorOf(bytes))
    const { atime, mtime } = await stat(path)
    await writeFile(path, bytes.with(77, (bytes[77] as number) ^ 4))
    await utimes(path, atime, mtime)
    expect(firstDifference(await bytesOf(image.body()), bytes)).toBeUndefined()
    expect(firstDifference(await read(await hold(cache, bytes, source)), bytes)).toBeUndefined()
    expect(source).toHaveBeenCalledTimes(2)
  })

  it('reads a file again that somebody linked to or whose mode they changed, and fetches nothing', async () => {
    const directory = folder()
    const bytes = contentOf(1, 100_000)
    const cache = open({ directory, hotBytes: 0 })
    const image = await hold(cache, bytes)
    const path = pathOf(directory, descriptorOf(bytes))
    for (const touch of [() => link(path, join(directory, 'backup')), () => chmod(path, 0o400)]) {
      await touch()
      expect(firstDifference(await bytesOf((await cache.hold(descriptorOf(bytes), never, contextOf())).body()), bytes)).toBeUndefined()
    }
    expect(isFile(image.body())).toBe(true)
  })

  it('serves nothing of what was written into a file that a reader opens just then, though somebody else has seen it', async () => {
    const directory = folder()
    const bytes = contentOf(1, 100_000)
    const cache = open({ directory, hotBytes: 0 })
    const image = await hold(cache, bytes)
    const reading = read(image)
    spoil(pathOf(directory, descriptorOf(bytes)), bytes)
    image.body()
    const got = await reading.catch((error: unknown) => error)
    if (got instanceof Uint8Array) expect(firstDifference(got, bytes)).toBeUndefined()
    else expect(got).toMatchObject({ code: 'CACHE_UNAVAILABLE' })
  })

  it('serves nothing of what was written into a file behind a check of it, though somebody else has seen it', async () => {
    const directory = folder()
    const bytes = contentOf(1, 100_000)
    const cache = open({ directory, hotBytes: 150_000 })
    const image = await hold(cache, bytes)
    const path = pathOf(directory, descriptorOf(bytes))
    await hold(cache, contentOf(2, 100_000))
    const handle = await openFile(path)
    await handle.close()
    const files = Object.getPrototypeOf(handle) as { read(...call: unknown[]): Promise<unknown> }
    const plain = handle.read
    vi.spyOn(files, 'read').mockImplementationOnce(async function (this: unknown, ...call: unknown[]) {
      const got = await Reflect.apply(plain, this, call)
      spoil(path, bytes)
      image.body()
      return got
    })
    // The second read that memory cannot serve brings it there, checked once more.
    for (let reads = 0; reads < 2; reads++) expect(isFile(image.body())).toBe(true)
    await hold(cache, bytes)
    // And out of memory again.
    await hold(cache, contentOf(3, 100_000))
    expect(firstDifference(await bytesOf(image.body()), bytes)).toBeUndefined()
  })

  it('tells of content that has proven wrong, and removes it even when the source is down', async () => {
    const directory = folder()
    const bytes = contentOf(1, 1000)
    await hold(open({ directory }), bytes)
    await caches.at(-1)?.close?.()
    await writeFile(pathOf(directory, descriptorOf(bytes)), contentOf(2, 1000))
    const onCorrupt = vi.fn()
    const cache = open({ directory, onCorrupt })
    await expect(cache.hold(descriptorOf(bytes), never, contextOf())).rejects.toThrow('the source was opened')
    expect(onCorrupt.mock.calls).toEqual([[descriptorOf(bytes).digest]])
    expect(await filesIn(directory)).toEqual([])
  })

  it('refuses a wrong size for content at rest by what the content itself is', async () => {
    const directory = folder()
    const bytes = contentOf(1, 1000)
    await hold(open({ directory }), bytes)
    const cache = await restarted(directory)
    await expect(cache.hold({ ...descriptorOf(bytes), size: 999 }, never, contextOf())).rejects.toMatchObject({ code: 'SIZE_MISMATCH' })
    await cache.hold(descriptorOf(bytes), never, contextOf())
  })

  it('remembers what was used last', async () => {
    const directory = folder()
    const contents = [1, 2, 3].map((seed) => contentOf(seed, 1000)) as [Uint8Array, Uint8Array, Uint8Array]
    const first = open({ directory })
    for (const bytes of contents) await hold(first, bytes)
    await hold(first, contents[0])
    const second = await restarted(directory, { limitBytes: 3000 })
    await hold(second, contentOf(4, 1000))
    const names = [contents[0], contents[2], contentOf(4, 1000)].map((bytes) => digestHex(descriptorOf(bytes).digest))
    expect(await filesIn(directory)).toEqual(names.sort())
  })

  it('evicts at once what a lower limit has no room for', async () => {
    const directory = folder()
    const first = open({ directory })
    for (const seed of [1, 2, 3, 4]) await hold(first, contentOf(seed, 1000))
    const second = await restarted(directory, { limitBytes: 2500 })
    await second.hold(descriptorOf(contentOf(4, 1000)), never, contextOf())
    expect(await storedBytes(directory)).toBe(2000)
  })

  it('removes what a crash left half-written, and ignores names that are no digest', async () => {
    const directory = folder()
    await hold(open({ directory }), contentOf(1, 10))
    await caches.at(-1)?.close?.()
    await writeFile(join(directory, 'incoming', 'half'), 'x')
    await writeFile(join(directory, 'blobs', 'sha256', 'README'), 'x')
    await hold(open({ directory }), contentOf(2, 10))
    expect(await incoming(directory)).toEqual([])
    expect(await filesIn(directory)).toHaveLength(3)
  })
})

describe('diskCache while content changes under it', () => {
  it.each([
    ['overwritten', async (path: string, bytes: Uint8Array) => writeFile(path, bytes.with(5, (bytes[5] as number) ^ 1))],
    ['cut short', async (path: string) => truncate(path, 10)],
    ['removed', async (path: string) => rm(path)],
  ])('fetches again what was %s since it was checked', async (_, spoil) => {
    const directory = folder()
    const bytes = contentOf(1, 1000)
    const cache = open({ directory, hotBytes: 0 })
    const source = sourceOf(bytes)
    const image = await hold(cache, bytes, source)
    const path = pathOf(directory, descriptorOf(bytes))
    await spoil(path, bytes)
    expect(firstDifference(await bytesOf(image.body()), bytes)).toBeUndefined()
    await spoil(path, bytes)
    expect(firstDifference(await read(image), bytes)).toBeUndefined()
    await spoil(path, bytes)
    expect(firstDifference(await read(await hold(cache, bytes, source)), bytes)).toBeUndefined()
    expect(source).toHaveBeenCalledTimes(4)
  })
})

describe('diskCache under load', () => {
  it('stays within its limit and serves every byte right while it evicts', async () => {
    const directory = folder()
    const cache = open({ directory, limitBytes: 60_000, hotBytes: 10_000, hotEntryBytes: 2_000 })
    const contents = Array.from({ length: 40 }, (_, index) => contentOf(index, 500 + ((index * 977) % 4000)))
    const sources = contents.map(sourceOf)
    // Six readers at most, of at most 4,500 bytes each, so that there is always room.
    const worker = async (start: number): Promise<void> => {
      for (let step = 0; step < 40; step++) {
        const index = (start * 7 + step * (2 * start + 1)) % contents.length
        const bytes = contents[index] as Uint8Array
        const image = await cache.hold(descriptorOf(bytes), sources[index] as ReturnType<typeof sourceOf>, contextOf())
        const offset = (step * 131) % bytes.length
        expect(firstDifference(await read(image, { offset }), bytes.subarray(offset))).toBeUndefined()
        expect(await storedBytes(directory).catch(() => 0)).toBeLessThanOrEqual(60_000)
      }
    }
    await Promise.all([0, 1, 2, 3, 4, 5].map(worker))
    expect(await incoming(directory)).toEqual([])
    expect(sources.reduce((sum, source) => sum + source.mock.calls.length, 0)).toBeGreaterThan(40)
  })

  it('never evicts what is being read or written: it says CACHE_FULL, and goes on when there is room', async () => {
    const cache = open({ limitBytes: 600_000, hotBytes: 0 })
    const bytes = contentOf(1, 400_000)
    const image = await hold(cache, bytes)
    const reader = image.open()[Symbol.asyncIterator]()
    const first = await reader.next()
    const full = { code: 'CACHE_FULL', fault: 'unavailable' }
    const other = contentOf(2, 300_000)
    await expect(hold(cache, other)).rejects.toMatchObject(full)
    const chunks = [first.value as Uint8Array]
    for (let next = await reader.next(); !next.done; next = await reader.next()) chunks.push(next.value)
    expect(chunks.reduce((sum, { length }) => sum + length, 0)).toBe(400_000)

    const source = gatedSource()
    const writing = cache.hold(descriptorOf(other), source.open, contextOf())
    await source.asked(1)
    await expect(hold(cache, bytes)).rejects.toMatchObject(full)
    source.give(other)
    await source.asked(2)
    source.end()
    await writing
    expect(firstDifference(await read(await hold(cache, bytes)), bytes)).toBeUndefined()
  })

  it('keeps a path that it handed out for half a minute, and no longer', async () => {
    const directory = folder()
    const cache = open({ directory, limitBytes: 1500, hotBytes: 0 })
    const bytes = contentOf(1, 1000)
    const body = (await hold(cache, bytes)).body({ offset: 10 })
    expect(body).toEqual({ path: pathOf(directory, descriptorOf(bytes)), offset: 10, length: 990 })
    await expect(hold(cache, contentOf(2, 1000))).rejects.toMatchObject({ code: 'CACHE_FULL' })
    expect(firstDifference(await bytesOf(body), bytes.subarray(10))).toBeUndefined()
    const now = performance.now()
    vi.spyOn(performance, 'now').mockReturnValue(now + 30_001)
    await hold(cache, contentOf(2, 1000))
    expect(existsSync((body as FileRange).path)).toBe(false)
  })

  it('gives an evicted image as a stream that fetches and checks it again, or fails with its source', async () => {
    const cache = open({ limitBytes: 1500, hotBytes: 0 })
    const bytes = contentOf(1, 1000)
    const source = sourceOf(bytes)
    const image = await hold(cache, bytes, source)
    await hold(cache, contentOf(2, 1000))
    source.mockResolvedValueOnce(
      (async function* () {
        yield bytes.with(3, (bytes[3] as number) ^ 1)
      })(),
    )
    const wrong = image.body({ offset: 5 })
    expect(isFile(wrong)).toBe(false)
    await expect(bytesOf(wrong)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect(firstDifference(await bytesOf(image.body({ offset: 5 })), bytes.subarray(5))).toBeUndefined()
    expect(source).toHaveBeenCalledTimes(3)
    expect(isFile(image.body())).toBe(true)
  })

  it('lets a reader finish whose file somebody removed', async () => {
    const directory = folder()
    const bytes = contentOf(1, 1_000_000)
    const image = await hold(open({ directory, hotBytes: 0 }), bytes)
    const reader = image.open()[Symbol.asyncIterator]()
    const chunks = [(await reader.next()).value as Uint8Array]
    await rm(pathOf(directory, descriptorOf(bytes)))
    for (let next = await reader.next(); !next.done; next = await reader.next()) chunks.push(next.value)
    expect(firstDifference(Buffer.concat(chunks), bytes)).toBeUndefined()
  })
})

describe('diskCache in memory', () => {
  it('gives small images as views of memory, large ones as ranges of their file', async () => {
    const cache = open({ hotEntryBytes: 1000 })
    const [small, large] = [contentOf(1, 1000), contentOf(2, 1001)]
    const body = (await hold(cache, small)).body({ offset: 10, length: 20 })
    expect(body).toBeInstanceOf(Uint8Array)
    expect(body).toEqual(small.subarray(10, 30))
    const image = await hold(cache, large)
    expect(isFile(image.body())).toBe(true)
    expect(image.body({ offset: 1001 })).toMatchObject({ offset: 1001, length: 0 })
  })

  it('drops the least recently used image from memory, and takes back what is read again', async () => {
    const cache = open({ hotBytes: 2000 })
    const contents = [1, 2, 3].map((seed) => contentOf(seed, 1000)) as [Uint8Array, Uint8Array, Uint8Array]
    const one = await hold(cache, contents[0])
    const two = await hold(cache, contents[1])
    one.body()
    await hold(cache, contents[2])
    expect([one, two].map((image) => isFile(image.body()))).toEqual([false, true])
    await vi.waitUntil(() => !isFile(two.body()))
    expect(two.body()).toEqual(contents[1])
  })

  it('does not take back what has changed on the disk', async () => {
    const directory = folder()
    const bytes = contentOf(1, 1000)
    await hold(open({ directory }), bytes)
    await caches.at(-1)?.close?.()
    const onCorrupt = vi.fn()
    const cache = open({ directory, onCorrupt })
    const image = await cache.hold(descriptorOf(bytes), never, contextOf())
    await writeFile(pathOf(directory, descriptorOf(bytes)), contentOf(2, 1000))
    // What is in memory was checked and stays good.
    expect(image.body()).toEqual(bytes)
    await expect(cache.hold(descriptorOf(bytes), never, contextOf())).rejects.toThrow('the source was opened')
    expect(onCorrupt).toHaveBeenCalledTimes(1)
    expect(isFile(image.body())).toBe(false)
  })
})

describe('diskCache when it is closed', () => {
  it('aborts what it downloads, waits for it, and takes no more calls', async () => {
    const directory = folder()
    const cache = open({ directory })
    const source = gatedSource()
    const bytes = contentOf(1, 1000)
    const downloading = cache.hold(descriptorOf(bytes), source.open, contextOf())
    const failed = expect(downloading).rejects.toMatchObject({ code: 'ABORTED' })
    await source.asked(1)
    await cache.close?.()
    await failed
    expect(await incoming(directory)).toEqual([])
    await expect(hold(cache, bytes)).rejects.toMatchObject({ code: 'CACHE_UNAVAILABLE' })
    await cache.close?.()
  })

  it('can be closed without ever having been used', async () => {
    const directory = join(folder(), 'unused')
    await open({ directory }).close?.()
    expect(existsSync(directory)).toBe(false)
  })
})

describe('diskCache and other processes', () => {
  /** Starts `disk-cache-child.ts` and gives its first message. */
  async function child(what: string, directory: string, prefix: readonly string[] = []) {
    const script = join(import.meta.dirname, 'disk-cache-child.ts')
    const [command, ...args] = [...prefix, process.execPath, '--conditions=@reflash/source', script, what, directory]
    const started = spawn(command as string, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(started)
    for await (const line of createInterface({ input: started.stdout })) return { started, message: JSON.parse(line) as unknown }
    throw new Error('the child process said nothing')
  }

  function killed(process: ChildProcess): Promise<void> {
    return new Promise((resolve) => {
      if (process.exitCode !== null || process.signalCode !== null) return resolve()
      process.once('exit', () => resolve())
      process.kill('SIGKILL')
    })
  }

  it('recovers from kill -9 in the middle of a download', async () => {
    const directory = folder()
    const { started, message } = await child('half', directory)
    expect(message).toEqual({ at: 'half' })
    expect(await incoming(directory)).toHaveLength(1)
    await killed(started)
    expect(await incoming(directory)).toHaveLength(1)
    const bytes = contentOf(1, 3_000_000)
    const source = sourceOf(bytes)
    const image = await hold(open({ directory }), bytes, source)
    expect(source).toHaveBeenCalledTimes(1)
    expect(firstDifference(await read(image), bytes)).toBeUndefined()
    expect(await incoming(directory)).toEqual([])
  })

  it('refuses a directory that a live process uses, does not touch its files, and takes over when it is dead', async () => {
    const directory = folder()
    const { started } = await child('half', directory)
    const cache = open({ directory })
    await expect(hold(cache, contentOf(2, 10))).rejects.toMatchObject({ code: 'CACHE_IN_USE', fault: 'unavailable' })
    expect(await incoming(directory)).toHaveLength(1)
    await killed(started)
    await hold(cache, contentOf(2, 10))
    expect(await incoming(directory)).toEqual([])
  })

  it('refuses a directory that another cache of this process uses, and leaves that one its lock', async () => {
    const directory = folder()
    const first = open({ directory })
    await hold(first, contentOf(1, 10))
    await expect(hold(open({ directory }), contentOf(2, 10))).rejects.toMatchObject({ code: 'CACHE_IN_USE' })
    const { message } = await child('hold', directory)
    expect(message).toMatchObject({ code: 'CACHE_IN_USE' })
  })

  it('serves after kill -9 what was held before', async () => {
    const directory = folder()
    const { started, message } = await child('hold', directory)
    expect(message).toEqual({ at: 'held' })
    await killed(started)
    const bytes = contentOf(1, 3_000_000)
    expect(firstDifference(await read(await open({ directory }).hold(descriptorOf(bytes), never, contextOf())), bytes)).toBeUndefined()
  })

  it('says CACHE_UNAVAILABLE when the disk takes no more, and leaves nothing half-written', async () => {
    const directory = folder()
    // A limit on file size stands for a full disk: a write fails in the middle, without privileges. Blocks of 512 or 1024 bytes.
    const { message, started } = await child('once', directory, ['sh', '-c', `trap '' XFSZ; ulimit -f 1024; exec "$0" "$@"`])
    expect(message).toMatchObject({ code: 'CACHE_UNAVAILABLE', fault: 'unavailable', details: { code: 'EFBIG' } })
    await killed(started)
    expect(await incoming(directory)).toEqual([])
    expect(await filesIn(directory)).toEqual([])
  })
})

describe('diskCache on a disk that refuses', () => {
  it('says CACHE_UNAVAILABLE where it cannot make its directory, and tries again at the next call', async () => {
    const parent = join(folder(), 'file')
    await writeFile(parent, 'x')
    const cache = open({ directory: join(parent, 'cache') })
    const source = sourceOf(contentOf(1, 10))
    await expect(hold(cache, contentOf(1, 10), source)).rejects.toMatchObject({ code: 'CACHE_UNAVAILABLE', fault: 'unavailable' })
    expect(source).not.toHaveBeenCalled()
    await rm(parent)
    await hold(cache, contentOf(1, 10), source)
  })

  it('opens no source when it cannot write, and serves nothing', async () => {
    const directory = folder()
    const cache = open({ directory })
    await hold(cache, contentOf(1, 10))
    await rm(join(directory, 'incoming'), { recursive: true })
    await writeFile(join(directory, 'incoming'), 'x')
    const source = sourceOf(contentOf(2, 10))
    await expect(hold(cache, contentOf(2, 10), source)).rejects.toMatchObject({ code: 'CACHE_UNAVAILABLE' })
    expect(source).not.toHaveBeenCalled()
    await cache.hold(descriptorOf(contentOf(1, 10)), never, contextOf())
  })

  it('serves nothing and leaves no temporary file when the finished file cannot get its name', async () => {
    const directory = folder()
    const cache = open({ directory })
    const bytes = contentOf(2, 10)
    await hold(cache, contentOf(1, 10))
    await mkdir(pathOf(directory, descriptorOf(bytes)))
    await expect(hold(cache, bytes)).rejects.toMatchObject({ code: 'CACHE_UNAVAILABLE' })
    expect(await incoming(directory)).toEqual([])
  })
})
