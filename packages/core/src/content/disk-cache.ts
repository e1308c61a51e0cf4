import { fail } from '../core-errors.ts'
import type { Body, ByteRange, Cache, HeldImage } from '../plugin/cache.ts'
import { throwIfAborted } from './abort.ts'
import { readBlob } from './blob-directory.ts'
import { type ByteBounds, boundsOf } from './byte-range.ts'
import { type ByteStream, streamOf } from './byte-stream.ts'
import { checkClaim } from './checked.ts'
import type { Descriptor } from './descriptor.ts'
import type { Digest } from './digest.ts'
import { checkSize, type DiskStoreOptions, diskStore } from './disk-store.ts'

/** Where a disk cache lies, and how much it may hold. */
export interface DiskCacheOptions {
  /** Made where it is missing, and used by this cache alone. */
  readonly directory: string
  /** Bytes of all held content together; 1 GiB where absent. */
  readonly limitBytes?: number
  /** Bytes of content that is also kept in memory; 64 MiB where absent, 0 for none. */
  readonly hotBytes?: number
  /** Bytes; larger content is never kept in memory. 8 MiB where absent, above any firmware of a microcontroller. */
  readonly hotEntryBytes?: number
  /** Called when content at rest has proven wrong and was removed. */
  readonly onCorrupt?: (digest: Digest) => void
}

type Open = Parameters<Cache['hold']>[1]

/** A path that was handed out stays for this long: whoever got it opens it at once, and an open file outlives its name. */
const pathGraceMs = 30_000
/** Bytes per chunk of content in memory; views, so that nothing is copied. */
const hotChunkBytes = 256 * 1024

/**
 * Makes the cache that is the default: content-addressed files in one directory, at most `limitBytes` of them, the least recently used
 * evicted first. What is served was checked by this process: a download on its way to the disk, what an earlier process left at its first
 * use. The directory is locked from the first call to `close`, also against crashed processes, whose lock the kernel drops.
 *
 * A held image stays readable: what is being read, or whose path was handed out in the last 30 s, is not evicted, and an evicted image is
 * fetched again, whole and checked, before a byte of it is given out (`body` is a stream then).
 * @throws `INVALID_OPTIONS`; `hold` also `CACHE_IN_USE`, `CACHE_FULL`, `CACHE_UNAVAILABLE`, and what `checked` throws
 */
export function diskCache(options: DiskCacheOptions): Cache {
  const valid = validated(options)
  const { limitBytes } = valid
  const store = diskStore(valid)

  async function* contents(descriptor: Descriptor, open: Open, bounds: ByteBounds): ByteStream {
    for (let attempt = 0; attempt < 3; attempt++) {
      const bytes = store.hot(descriptor.digest)
      if (bytes !== undefined) return yield* streamOf(part(bytes, bounds), hotChunkBytes)
      const entry = store.present(descriptor.digest)
      if (entry !== undefined) {
        entry.readers += 1
        store.use(descriptor.digest)
        try {
          return yield* readBlob(entry.file, bounds)
        } finally {
          entry.readers -= 1
        }
      }
      await store.obtain(descriptor, open, { signal: store.ended })
    }
    throw fail('CACHE_FULL', `expected ${descriptor.digest} to stay until it was read, found it evicted each time; raise limitBytes`)
  }

  function body(descriptor: Descriptor, open: Open, bounds: ByteBounds): Body {
    const { digest } = descriptor
    const bytes = store.hot(digest)
    if (bytes !== undefined) {
      store.use(digest)
      return part(bytes, bounds)
    }
    const entry = store.present(digest)
    if (entry === undefined) return contents(descriptor, open, bounds)
    store.use(digest)
    store.warm(entry)
    entry.busyUntilMs = performance.now() + pathGraceMs
    return Object.freeze({ path: entry.file.path, ...bounds })
  }

  return Object.freeze<Cache>({
    kind: 'cache',
    name: 'disk',
    spec: 0,
    async hold(descriptor, open, context) {
      const { digest, size } = descriptor
      checkClaim(descriptor)
      throwIfAborted(context.signal)
      if (size > limitBytes) throw fail('CACHE_FULL', `${digest}: expected at most ${limitBytes} bytes (limitBytes), found ${size}`)
      const entry = store.present(digest)
      if (entry !== undefined) {
        checkSize(descriptor, entry)
        store.use(digest)
      }
      const crc32 = entry?.crc32 ?? (await store.obtain(descriptor, open, context))
      return Object.freeze<HeldImage>({
        descriptor,
        crc32,
        open: (range?: ByteRange) => contents(descriptor, open, boundsOf(range, descriptor)),
        body: (range?: ByteRange) => body(descriptor, open, boundsOf(range, descriptor)),
      })
    },
    close: store.close,
  })
}

function validated(options: DiskCacheOptions): DiskStoreOptions {
  const { directory, limitBytes = 2 ** 30, hotBytes: hot = 64 * 2 ** 20, hotEntryBytes = 8 * 2 ** 20, onCorrupt } = options
  if (typeof directory !== 'string' || directory === '') {
    throw fail('INVALID_OPTIONS', `directory: expected the path of a directory, found ${JSON.stringify(directory)}`)
  }
  for (const [name, value] of Object.entries({ limitBytes, hotBytes: hot, hotEntryBytes })) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw fail('INVALID_OPTIONS', `${name}: expected bytes as an integer from 0 to 2^53-1, found ${String(value)}`)
    }
  }
  return { path: directory, limitBytes, hotLimitBytes: hot, hotEntryBytes, onCorrupt }
}

function part(bytes: Uint8Array, { offset, length }: ByteBounds): Uint8Array {
  return bytes.subarray(offset, offset + length)
}
