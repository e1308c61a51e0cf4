import { type FileHandle, open } from 'node:fs/promises'
import { aborted, type Body, type ByteStream, concat, type FileRange } from '@reflash/core'
import { fail } from '../mqtt-errors.ts'
import { hasBit } from '../wire/bitmap.ts'
import type { ImageRequest } from '../wire/image-request.ts'

/** Bytes of one chunk where they are, and their place in the image. */
export interface ImageChunk {
  readonly offset: number
  readonly bytes: Uint8Array
}

/**
 * The chunks of a request from the bytes of the image that it asks for, each as soon as its bytes are there; those that the device has already
 * are left out.
 * @throws `IMAGE_NOT_READ`, `ABORTED`
 */
export async function* imageChunks(body: Body, request: ImageRequest, signal: AbortSignal): AsyncIterable<ImageChunk> {
  const { offset, length, chunkBytes, have } = request
  if (body instanceof Uint8Array || isFile(body)) {
    const bytes = body instanceof Uint8Array ? body : await readMissing(body, request)
    if (bytes.length !== length) throw unread(`${length} bytes`, String(bytes.length))
    for (let at = 0; at < length; at += chunkBytes) {
      if (!hasBit(have, at / chunkBytes)) yield { offset: offset + at, bytes: bytes.subarray(at, at + chunkBytes) }
    }
    return
  }
  let at = 0
  for await (const bytes of inChunks(body, request, signal)) {
    if (!hasBit(have, at / chunkBytes)) yield { offset: offset + at, bytes }
    at += bytes.length
  }
}

/** A stream cut into the chunks of a request. What comes behind them is not read. */
async function* inChunks(stream: ByteStream, { length, chunkBytes }: ImageRequest, signal: AbortSignal): ByteStream {
  const parts: Uint8Array[] = []
  let held = 0
  let left = length
  for await (const part of untilAborted(stream, signal)) {
    parts.push(part.subarray(0, left - held))
    held += Math.min(part.length, left - held)
    while (held >= Math.min(chunkBytes, left)) {
      const whole = concat(parts.splice(0), held)
      const chunk = whole.subarray(0, Math.min(chunkBytes, left))
      yield chunk
      left -= chunk.length
      held -= chunk.length
      if (left === 0) return
      if (held > 0) parts.push(whole.subarray(chunk.length))
    }
  }
  throw unread(`${length} bytes`, String(length - left + held))
}

/** A source that has stalled is left where it is. */
async function* untilAborted(stream: ByteStream, signal: AbortSignal): ByteStream {
  const source = stream[Symbol.asyncIterator]()
  const left = Promise.withResolvers<never>()
  const leave = (): void => left.reject(aborted(signal))
  left.promise.catch(() => undefined)
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  try {
    for (;;) {
      const step = await Promise.race([source.next(), left.promise])
      if (step.done) return
      yield step.value
    }
  } finally {
    signal.removeEventListener('abort', leave)
    const ended = source.return?.()
    // A generator that waits ends when it goes on, and that may be never.
    if (signal.aborted) Promise.resolve(ended).catch(() => undefined)
    else await ended
  }
}

/** The bytes of a request, but for those that the device has: these are not read. */
async function readMissing({ path, offset }: FileRange, request: ImageRequest): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(request.length)
  let file: FileHandle | undefined
  try {
    file = await open(path)
    for (const [at, end] of missingRuns(request)) {
      const { bytesRead } = await file.read(bytes, at, end - at, offset + at)
      if (bytesRead !== end - at) throw unread(`${end - at} bytes`, String(bytesRead))
    }
    return bytes
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'OtaError') throw cause
    throw fail('IMAGE_NOT_READ', 'expected to read the image, found that its file cannot be read', { cause })
  } finally {
    await file?.close()
  }
}

/** Where chunks that the device lacks follow one another without a gap: from which byte of the request up to which. */
function missingRuns({ length, chunkBytes, have }: ImageRequest): readonly (readonly [at: number, end: number])[] {
  const runs: [at: number, end: number][] = []
  for (let at = 0; at < length; at += chunkBytes) {
    if (hasBit(have, at / chunkBytes)) continue
    const end = Math.min(at + chunkBytes, length)
    const last = runs.at(-1)
    if (last?.[1] === at) last[1] = end
    else runs.push([at, end])
  }
  return runs
}

function isFile(body: Body): body is FileRange {
  return 'path' in body
}

function unread(expected: string, found: string): Error {
  return fail('IMAGE_NOT_READ', `expected ${expected} of the image, found ${found}`)
}
