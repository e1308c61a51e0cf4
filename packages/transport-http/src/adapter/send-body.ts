import { fail } from '../http-errors.ts'
import { type BufferPool, bufferSizes } from './buffer-pool.ts'
import { type OpenedBody, type OpenedPart, readFileAt } from './opened-body.ts'
import type { Outlet } from './outlet.ts'

/** Bytes at a time from memory: the socket refers to them without a copy; but TLS copies what it encrypts, once per connection. */
const plainSlice = 1024 * 1024
const tlsSlice = 64 * 1024

/** Bytes of the first read: a reader is slow until it has shown otherwise. */
const firstRead = 64 * 1024
const smallest = bufferSizes[0] as number
const largest = bufferSizes.at(-1) as number
/** A buffer should be free again after this time, so that slow readers hold small ones. */
const bufferTimeMs = 100

/**
 * Sends an opened body of `length` bytes; false where the client has gone meanwhile. The body is closed in the end.
 * @throws `IMAGE_SIZE_WRONG`, `IMAGE_UNREADABLE` after the head was sent: the connection must be cut.
 */
export async function sendBody(outlet: Outlet, body: OpenedBody, length: number, pool: BufferPool, encrypted: boolean): Promise<boolean> {
  try {
    let left = length
    for (const part of body.parts) {
      const sent = await sendPart(outlet, part, left, pool, encrypted)
      if (sent === undefined) return false
      left -= sent
    }
    if (left !== 0) throw wrongSize(left)
    return true
  } finally {
    body.close()
  }
}

/** Bytes of the part, or undefined where the client has gone. The chunk that fills `left` ends the answer. */
async function sendPart(outlet: Outlet, part: OpenedPart, left: number, pool: BufferPool, encrypted: boolean): Promise<number | undefined> {
  switch (part.kind) {
    case 'bytes':
      return sendBytes(outlet, part.bytes, left, encrypted ? tlsSlice : plainSlice)
    case 'file':
      return sendFile(outlet, part, left, pool)
    case 'stream':
      return sendStream(outlet, part, left)
  }
}

async function sendBytes(outlet: Outlet, bytes: Uint8Array, left: number, slice: number): Promise<number | undefined> {
  if (bytes.length > left) throw wrongSize(left - bytes.length)
  for (let at = 0; at < bytes.length; at += slice) {
    const end = Math.min(at + slice, bytes.length)
    if (!(await outlet.write(bytes.subarray(at, end), end === left))) return undefined
  }
  return bytes.length
}

async function sendFile(
  outlet: Outlet,
  { file, offset, length }: Extract<OpenedPart, { kind: 'file' }>,
  left: number,
  pool: BufferPool,
): Promise<number | undefined> {
  if (length > left) throw wrongSize(left - length)
  let wanted = firstRead
  let done = 0
  while (done < length) {
    const next = Math.min(wanted, length - done)
    const buffer = await pool.take(next)
    const count = outlet.open ? await readOrGive(file, buffer, Math.min(buffer.length, next), offset + done, pool) : 0
    if (!outlet.open) {
      pool.give(buffer)
      return undefined
    }
    const started = performance.now()
    done += count
    if (!(await outlet.write(buffer.subarray(0, count), done === left))) {
      // The kernel may read it until the connection has closed.
      outlet.whenGone(() => pool.give(buffer))
      return undefined
    }
    pool.give(buffer)
    const inTime = (count / Math.max(performance.now() - started, 0.01)) * bufferTimeMs
    wanted = Math.trunc(Math.min(Math.max(inTime, smallest), wanted * 4, largest))
  }
  return length
}

async function readOrGive(file: number, buffer: Buffer, length: number, offset: number, pool: BufferPool): Promise<number> {
  try {
    const count = await readFileAt(file, buffer, length, offset)
    if (count > 0) return count
  } catch (error) {
    pool.give(buffer)
    throw error
  }
  pool.give(buffer)
  throw fail('IMAGE_SIZE_WRONG', 'expected the file of an image to be as long as its descriptor says, found its end')
}

async function sendStream(
  outlet: Outlet,
  { first, rest }: Extract<OpenedPart, { kind: 'stream' }>,
  left: number,
): Promise<number | undefined> {
  let done = 0
  for (let step: IteratorResult<Uint8Array> | undefined = first; step?.done !== true; step = await nextOrGone(outlet, rest)) {
    // A client that has all of it may go before the source says that it has ended.
    if (step === undefined) return done === left ? done : undefined
    const chunk = step.value
    if (chunk.length === 0) continue
    if (done + chunk.length > left) throw wrongSize(left - done - chunk.length)
    done += chunk.length
    if (!(await outlet.write(chunk, done === left))) return undefined
  }
  return done
}

/** The next chunk; undefined as soon as the client has gone, because a source that stalls would be waited for without anybody who wants it. */
function nextOrGone(outlet: Outlet, rest: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array> | undefined> {
  return new Promise((resolve, reject) => {
    outlet.whenGone(() => resolve(undefined))
    rest.next().then(resolve, reject)
  })
}

function wrongSize(left: number): Error {
  const found = left > 0 ? `${left} bytes less` : `at least ${-left} bytes more`
  return fail('IMAGE_SIZE_WRONG', `expected a body as long as its descriptor says, found ${found}`)
}
