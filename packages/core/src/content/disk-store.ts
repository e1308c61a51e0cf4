import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { Cache } from '../plugin/cache.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { aborted, throwIfAborted } from './abort.ts'
import { type BlobDirectory, openBlobDirectory, readBlob, stateOf } from './blob-directory.ts'
import type { ByteStream } from './byte-stream.ts'
import { type CacheEntries, type CacheEntry, cacheEntries } from './cache-entries.ts'
import { type CheckedContent, checked } from './checked.ts'
import type { Descriptor } from './descriptor.ts'
import type { Digest } from './digest.ts'
import { hotBytes } from './hot-bytes.ts'
import { singleFlight } from './single-flight.ts'

/** What the disk cache is made of: content on the disk and in memory, and how it gets there. */
export interface DiskStore {
  /** The content, where it is in memory. */
  hot(digest: Digest): Uint8Array | undefined
  /** The checked entry, if it is still there as it was checked. */
  present(digest: Digest): CacheEntry | undefined
  /** Brings content to rest once for all who ask, and gives its CRC-32. */
  obtain(descriptor: Descriptor, open: Open, caller: Caller): Promise<number>
  /** Counts a use of content that is there. */
  use(digest: Digest): void
  /** Counts a read that memory could not serve; what is read often goes to memory. */
  warm(entry: CacheEntry): void
  /** Fires when the store is closed. */
  readonly ended: AbortSignal
  close(): Promise<void>
}

export interface DiskStoreOptions {
  readonly path: string
  readonly limitBytes: number
  readonly hotLimitBytes: number
  readonly hotEntryBytes: number
  readonly onCorrupt: ((digest: Digest) => void) | undefined
}

type Open = Parameters<Cache['hold']>[1]
type Caller = Pick<RunContext, 'signal' | 'progress'>
type Progress = (done: number, total: number) => void

interface Running {
  readonly directory: BlobDirectory
  readonly entries: CacheEntries
}

/** Makes a store that touches the disk at the first `obtain`. One function per step; they share its state. */
export function diskStore({ path, limitBytes, hotLimitBytes, hotEntryBytes, onCorrupt }: DiskStoreOptions): DiskStore {
  const hot = hotBytes(hotLimitBytes, hotEntryBytes)
  const shareImage = singleFlight<number>()
  const shareCheck = singleFlight<CacheEntry | undefined>()
  const ended = new AbortController()
  const works = new Set<Promise<unknown>>()
  let running: Running | undefined
  let starting: Promise<Running> | undefined
  let warming = false

  function started(): Promise<Running> {
    if (ended.signal.aborted) throw fail('CACHE_UNAVAILABLE', `expected an open cache, found that of ${path} closed`)
    starting ??= start().catch((error) => {
      // The next call tries again: the disk may be back, the other process gone.
      starting = undefined
      throw error
    })
    return starting
  }

  async function start(): Promise<Running> {
    const directory = await openBlobDirectory(path)
    const entries = cacheEntries(directory, limitBytes, (digest) => hot.drop(digest))
    running = { directory, entries }
    const { release } = await entries.reserve(0)
    release()
    return running
  }

  function present(digest: Digest): CacheEntry | undefined {
    const entry = ended.signal.aborted ? undefined : running?.entries.get(digest)
    if (entry?.crc32 === undefined) return undefined
    const state = stateOf(entry.file)
    if (state === 'unchanged') return entry
    // Its content is to be looked at again before it is served.
    if (state === 'touched') entry.crc32 = undefined
    else removeCorrupt(entry).catch(() => undefined)
    return undefined
  }

  async function removeCorrupt(entry: CacheEntry): Promise<void> {
    if (running?.entries.get(entry.file.digest) !== entry) return
    onCorrupt?.(entry.file.digest)
    await running.entries.discard(entry)
  }

  /** Reads an entry whole and checks it; what proves wrong is removed. */
  async function check(entry: CacheEntry, signal: AbortSignal): Promise<CacheEntry | undefined> {
    const { file } = entry
    const copyTo = hot.fits(file.size) ? new Uint8Array(file.size) : undefined
    let found: number | undefined
    const onDone = ({ crc32 }: CheckedContent): void => {
      found = crc32
    }
    entry.readers += 1
    try {
      // What was touched meanwhile is read once more: touches are noted of what counts as checked, and after the first it does not.
      let touches: number
      do {
        touches = file.touches
        for await (const _ of checked(readBlob(file, { offset: 0, length: file.size }), file, { signal, copyTo, onDone }));
      } while (file.touches !== touches)
      entry.crc32 = found
      if (copyTo !== undefined) hot.keep(file.digest, copyTo)
      return entry
    } catch (error) {
      if (!isBad(error)) throw error
      await removeCorrupt(entry)
      return undefined
    } finally {
      entry.readers -= 1
    }
  }

  /** Content at rest of this digest, checked; at once where that was done before. */
  function atRest(digest: Digest, entries: CacheEntries, signal: AbortSignal): Promise<CacheEntry | undefined> | CacheEntry | undefined {
    const there = present(digest)
    if (there !== undefined) return there
    // Looked up now: what has changed was removed.
    const entry = entries.get(digest)
    if (entry === undefined) return undefined
    return shareCheck(digest, { signal }, (shared) => check(entry, shared))
  }

  async function download(descriptor: Descriptor, open: Open, { directory, entries }: Running, signal: AbortSignal, progress: Progress) {
    const { digest, size } = descriptor
    const room = await entries.reserve(size)
    try {
      const copyTo = hot.fits(size) ? new Uint8Array(size) : undefined
      let crc32 = 0
      const onDone = (content: CheckedContent): void => {
        crc32 = content.crc32
      }
      const onProgress = (done: number): void => progress(done, size)
      const file = await directory.write(digest, async () =>
        checked(await opened(open, signal), descriptor, { signal, copyTo, onDone, onProgress }),
      )
      if (copyTo !== undefined) hot.keep(digest, copyTo)
      entries.add(file, crc32)
      return crc32
    } finally {
      room.release()
    }
  }

  async function bring(descriptor: Descriptor, open: Open, signal: AbortSignal, progress: Progress): Promise<number> {
    const store = await started()
    throwIfAborted(signal)
    const entry = await atRest(descriptor.digest, store.entries, signal)
    if (entry === undefined) return download(descriptor, open, store, signal, progress)
    checkSize(descriptor, entry)
    store.entries.use(entry)
    return entry.crc32 as number
  }

  function obtain(descriptor: Descriptor, open: Open, caller: Caller): Promise<number> {
    // The size is part of the key, so that a wrong one fails by itself and not whoever asks for the right one.
    return shareImage(`${descriptor.digest} ${descriptor.size}`, caller, (signal, progress) => {
      const work = bring(descriptor, open, AbortSignal.any([signal, ended.signal]), progress)
      const forget = (): void => void works.delete(work)
      works.add(work)
      work.then(forget, forget)
      return work
    })
  }

  // One image at a time, checked once more on the way.
  function warm(entry: CacheEntry): void {
    entry.coldReads += 1
    if (warming || entry.coldReads < 2 || !hot.fits(entry.file.size)) return
    warming = true
    entry.coldReads = 0
    const done = (): void => {
      warming = false
    }
    shareCheck(entry.file.digest, { signal: ended.signal }, (signal) => check(entry, signal)).then(done, done)
  }

  function use(digest: Digest): void {
    const entry = running?.entries.get(digest)
    if (entry !== undefined) running?.entries.use(entry)
  }

  async function close(): Promise<void> {
    ended.abort()
    await Promise.allSettled([...works, starting])
    await running?.entries.save()
    running?.directory.close()
    running = undefined
  }

  return { hot: hot.get, present, obtain, use, warm, ended: ended.signal, close }
}

/** @throws `SIZE_MISMATCH` */
export function checkSize({ digest, size }: Descriptor, { file }: CacheEntry): void {
  if (file.size === size) return
  throw fail('SIZE_MISMATCH', `${digest}: expected ${size} bytes, found ${file.size}; nothing was used`, {
    details: { digest, expected: size },
  })
}

/** Whether the content itself is at fault, and not the circumstances of reading it (an abort, too many open files). */
function isBad(error: unknown): boolean {
  if (!isOtaError(error)) return false
  return error.fault === 'rejected' || ['CHANGED', 'EIO', 'ELOOP', 'ENOENT'].includes(String(error.details.code))
}

/** Opens a source, and leaves one that does not answer when the signal fires. */
function opened(open: Open, signal: AbortSignal): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(aborted(signal))
    signal.addEventListener('abort', leave, { once: true })
    open({ signal })
      .finally(() => signal.removeEventListener('abort', leave))
      .then(resolve, reject)
  })
}
