import { randomUUID } from 'node:crypto'
import { constants, renameSync, type Stats, statSync, utimesSync } from 'node:fs'
import { chmod, type FileHandle, lstat, mkdir, open, readdir, rename, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { fail } from '../core-errors.ts'
import type { ByteBounds } from './byte-range.ts'
import { type ByteStream, concat } from './byte-stream.ts'
import { type Digest, digestAlgorithm, digestHex, isDigest } from './digest.ts'
import { lockDirectory, lockName } from './directory-lock.ts'

/** A blob at rest, and what shows that nobody has changed it since. */
export interface BlobFile {
  readonly digest: Digest
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly inode: number
  readonly changedMs: number
  /** Change time of the inode, which nobody can put back; moves with our own notes of uses. */
  statusMs: number
  /** How often somebody else's touch was taken note of: what was read across one is not known to be what lies there now. */
  touches: number
  /** When it was last used, as far as the disk knows. */
  readonly usedMs: number
}

/** Blobs in a directory that belongs to this process alone. Content is not checked here. */
export interface BlobDirectory {
  /** What was there at the start, least recently used first. */
  readonly found: readonly BlobFile[]
  /** Stores a stream under the digest: whole and durable, or not at all. The source is opened when the disk is ready to take it. */
  write(digest: Digest, open: () => Promise<ByteStream>): Promise<BlobFile>
  /** Takes the name away at once, and resolves when the space is free. Who has the file open reads on. */
  discard(file: BlobFile): Promise<void>
  /** Remembers the time of the last use for the next start. */
  markUsed(file: BlobFile, usedMs: number): Promise<void>
  close(): void
}

/** Bytes; below this the calls cost more than the copying. performance: 256 KiB reads take 670 us of CPU per MiB, 64 KiB ones 1,173. */
const readBytes = 256 * 1024
const writeBytes = 1024 * 1024
/** POSIX guarantees 16 buffers per writev, Linux takes 1024. */
const writeBuffers = 512

const privateDirectory = 0o700
const privateFile = 0o600

/**
 * Opens a directory of blobs: makes and locks it, removes what a crashed process left half-written, and lists what is there.
 *
 * | path                  | holds                                                                       |
 * |-----------------------|-----------------------------------------------------------------------------|
 * | `reflash-cache.lock`  | nothing; see `lockDirectory`                                                |
 * | `incoming/<uuid>`     | what is being written or removed; emptied at the start                      |
 * | `blobs/<alg>/<hex>`   | content; its access time is the time of its last use                        |
 * @throws `CACHE_IN_USE`, `CACHE_UNAVAILABLE`, `INVALID_OPTIONS` where something else lies in the directory
 */
export async function openBlobDirectory(directory: string): Promise<BlobDirectory> {
  const blobs = join(directory, 'blobs')
  const incoming = join(directory, 'incoming')
  await onDisk(`make ${directory}`, () => mkdir(directory, { recursive: true, mode: privateDirectory }))
  await refuseForeign(directory)
  const lock = await lockDirectory(directory)
  try {
    await onDisk(`clear ${incoming}`, () => rm(incoming, { recursive: true, force: true }))
    for (const path of [incoming, blobs, ...algorithms.map((algorithm) => join(blobs, algorithm))]) await makePrivate(path)
    const found = await onDisk(`list ${blobs}`, () => list(blobs))
    return blobDirectory(blobs, incoming, found, () => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

const algorithms = ['sha256', 'sha384', 'sha512'] as const

function blobDirectory(blobs: string, incoming: string, found: readonly BlobFile[], close: () => void): BlobDirectory {
  return {
    found,
    async write(digest, source) {
      const folder = join(blobs, digestAlgorithm(digest))
      const path = join(folder, digestHex(digest))
      const temporary = join(incoming, randomUUID())
      const file = await onDisk(`write ${temporary}`, () => open(temporary, 'wx', privateFile))
      try {
        await writeAll(file, await source())
        await onDisk(`write ${temporary}`, () => file.sync())
        await file.close()
        await onDisk(`write ${path}`, () => rename(temporary, path))
      } catch (error) {
        await file.close().catch(() => undefined)
        await rm(temporary, { force: true }).catch(() => undefined)
        throw error
      }
      return onDisk(`write ${path}`, async () => {
        await syncDirectory(folder)
        return stamp(digest, path, Date.now(), Date.now())
      })
    },
    async discard({ path }) {
      const trash = join(incoming, randomUUID())
      // Synchronous: no other step may find the name, or store new content under it, between here and the removal.
      await onDisk(`remove ${path}`, () => renameIfThere(path, trash))
      await onDisk(`remove ${trash}`, () => rm(trash, { force: true }))
    },
    async markUsed(file, usedMs) {
      // Noted for the file that we know alone: the note moves its status time, and must not hide what somebody else did.
      if (!isUntouched(file)) return
      try {
        utimesSync(file.path, usedMs / 1000, file.changedMs / 1000)
        file.statusMs = statSync(file.path).ctimeMs
      } catch {
        // Recency is a hint: a disk that refuses it costs a download at worst.
      }
    },
    close,
  }
}

/**
 * What became of a file since it was written or found. `touched`: somebody made a link to it, changed its mode, or wrote into it and put the
 * times back; only its content can tell. The touch is taken note of: the next one shows again.
 */
export function stateOf(file: BlobFile): 'unchanged' | 'touched' | 'changed' {
  try {
    const stats = statSync(file.path)
    if (!isSame(file, stats)) return 'changed'
    if (stats.ctimeMs === file.statusMs) return 'unchanged'
    file.statusMs = stats.ctimeMs
    file.touches += 1
    return 'touched'
  } catch {
    return 'changed'
  }
}

/**
 * Reads a part of a blob. The file stays open meanwhile, so that a removal does not disturb the reader.
 * @throws `CACHE_UNAVAILABLE`, with the system's code or `CHANGED` in `details.code`
 */
export async function* readBlob(file: BlobFile, { offset, length }: ByteBounds): ByteStream {
  const { statusMs, touches } = file
  const handle = await onDisk(`read ${file.path}`, () => open(file.path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)))
  try {
    const stats = await onDisk(`read ${file.path}`, () => handle.stat())
    // A use may have been noted while we waited; a touch must not have been.
    if (!isSame(file, stats) || file.touches !== touches || ![statusMs, file.statusMs].includes(stats.ctimeMs)) throw changed(file)
    const end = offset + length
    for (let at = offset; at < end; ) {
      // A new buffer each time: the reader may keep the chunk.
      const buffer = new Uint8Array(Buffer.allocUnsafeSlow(Math.min(readBytes, end - at)).buffer)
      const { bytesRead } = await onDisk(`read ${file.path}`, () => handle.read(buffer, 0, buffer.length, at))
      if (bytesRead === 0) throw changed(file)
      at += bytesRead
      yield bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}

async function writeAll(file: FileHandle, stream: ByteStream): Promise<void> {
  let waiting: Uint8Array[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    const { bytesWritten } = await file.writev(waiting)
    if (bytesWritten < bytes) await file.writeFile(concat(waiting).subarray(bytesWritten))
    waiting = []
    bytes = 0
  }
  for await (const chunk of stream) {
    waiting.push(chunk)
    bytes += chunk.length
    if (bytes >= writeBytes || waiting.length >= writeBuffers) await onDisk('write content', flush)
  }
  if (waiting.length > 0) await onDisk('write content', flush)
}

// An OCI image layout has a `blobs` directory too, and its content must not be evicted.
async function refuseForeign(directory: string): Promise<void> {
  const names = await onDisk(`list ${directory}`, () => readdir(directory))
  const foreign = names.find((name) => name !== 'lost+found')
  if (foreign === undefined || names.includes(lockName)) return
  throw fail(
    'INVALID_OPTIONS',
    `expected ${directory} to be empty or a cache, found ${JSON.stringify(foreign)}; name a directory of its own`,
  )
}

async function makePrivate(path: string): Promise<void> {
  await onDisk(`make ${path}`, async () => {
    await mkdir(path, { recursive: true, mode: privateDirectory })
    await chmod(path, privateDirectory)
  })
}

async function list(blobs: string): Promise<readonly BlobFile[]> {
  const files: BlobFile[] = []
  for (const algorithm of algorithms) {
    for (const name of await readdir(join(blobs, algorithm))) {
      const digest = `${algorithm}:${name}`
      const path = join(blobs, algorithm, name)
      if (!isDigest(digest)) continue
      const stats = await lstat(path)
      if (stats.isFile()) files.push(await stamp(digest, path, stats.atimeMs, stats.mtimeMs))
      // A link would be followed when it is served.
      else await rm(path, { recursive: true, force: true })
    }
  }
  return files.sort((a, b) => a.usedMs - b.usedMs || (a.path < b.path ? -1 : 1))
}

/**
 * Sets the change time to a whole second: it survives being written back by `markUsed`, and any later write to the content shows, because
 * the time of a real write is hardly ever whole.
 */
async function stamp(digest: Digest, path: string, usedMs: number, changedMs: number): Promise<BlobFile> {
  await utimes(path, usedMs / 1000, Math.floor(changedMs / 1000))
  const { size, ino, mtimeMs, atimeMs, ctimeMs } = await lstat(path)
  return { digest, path, size, inode: ino, changedMs: mtimeMs, statusMs: ctimeMs, touches: 0, usedMs: atimeMs }
}

function isSame(file: BlobFile, { size, ino, mtimeMs }: Stats): boolean {
  return size === file.size && ino === file.inode && mtimeMs === file.changedMs
}

function isUntouched(file: BlobFile): boolean {
  try {
    const stats = statSync(file.path)
    return isSame(file, stats) && stats.ctimeMs === file.statusMs
  } catch {
    return false
  }
}

function renameIfThere(path: string, to: string): void {
  try {
    renameSync(path, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function changed({ path }: BlobFile): Error {
  return fail('CACHE_UNAVAILABLE', `expected ${path} as it was checked, found it changed on the disk; it will be fetched again`, {
    details: { code: 'CHANGED' },
  })
}

async function onDisk<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const { code = 'unknown', message } = cause as NodeJS.ErrnoException
    const full = code === 'ENOSPC' || code === 'EDQUOT' ? ' (the disk is full: free space or lower limitBytes)' : ''
    throw fail('CACHE_UNAVAILABLE', `expected to ${what}, found ${message}${full}`, { cause, details: { code } })
  }
}
