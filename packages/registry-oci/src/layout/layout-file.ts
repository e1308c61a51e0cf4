import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type ByteStream, collect, coreError, streamOf } from '@reflash/core'

const readBytes = 262_144
// Without NONBLOCK a named pipe under a blob's name would hold a thread of the runtime for ever.
const readFlags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/** The bytes of a regular file from `offset` on; it is opened when the first is asked for. */
export async function* fileBytes(path: string, offset = 0): ByteStream {
  const handle = await open(path, readFlags)
  try {
    if (!(await handle.stat()).isFile()) throw coreError('NOT_FOUND', `${path}: expected a file, found something else`)
    for (let at = offset; ; ) {
      // A buffer of its own for each chunk: the reader may keep it.
      const { bytesRead, buffer } = await handle.read(new Uint8Array(readBytes), 0, readBytes, at)
      if (bytesRead === 0) return
      at += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await handle.close()
  }
}

/** Reads a whole small file. @throws `TOO_LARGE` */
export function readSmallFile(path: string, limitBytes: number): Promise<Uint8Array> {
  return collect(fileBytes(path), limitBytes, path)
}

/** Writes a file so that it is there whole or not at all, also after a power cut. Files on the way lie beside the layout's own, hidden. */
export async function writeWhole(directory: string, path: string, content: Uint8Array | ByteStream): Promise<void> {
  const temporary = join(directory, `.${randomUUID()}.tmp`)
  try {
    const handle = await open(temporary, 'wx')
    try {
      for await (const chunk of content instanceof Uint8Array ? streamOf(content) : content) await writeAll(handle, chunk)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await handle.write(chunk, at)).bytesWritten
}

/** The new name is durable only when the directory is; where directories cannot be synced (Windows) the system sees to it. */
async function syncDirectory(path: string): Promise<void> {
  try {
    const handle = await open(path, 'r')
    await handle.sync().finally(() => handle.close())
  } catch {
    // The content itself is on disk.
  }
}
