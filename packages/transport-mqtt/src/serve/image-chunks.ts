import { type FileHandle, open } from 'node:fs/promises'
import { aborted, type Body, type ByteStream, concat, type FileRange } from '@reflash/core'
import { fail } from '../mqtt-errors.ts'
import { hasBit } from '../wire/bitmap.ts'
import { chunkFrame, chunkHeadBytes, sealChunk } from '../wire/chunk.ts'
import type { ImageRequest } from '../wire/image-request.ts'

/** Chunks of one request, each with room for its head; those that the device has already are left out. */
interface Frame {
  readonly at: number
  readonly frame: Uint8Array
}

/**
 * The chunks of a request from the bytes of the image that it asks for, each as soon as its bytes are there.
 * @throws `IMAGE_NOT_READ`, `ABORTED`
 */
export async function* imageChunks(body: Body, request: ImageRequest, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const sealed = ({ at, frame }: Frame): Uint8Array => sealChunk(frame, request.re, request.offset + at)
  if (body instanceof Uint8Array || isFile(body)) {
    const frames = framesOf(request)
    if (body instanceof Uint8Array) fill(frames, body, request)
    else await readInto(frames, body)
    for (const frame of frames) yield sealed(frame)
    return
  }
  let index = 0
  for await (const bytes of inChunks(body, request, signal)) {
    const at = index * request.chunkBytes
    if (!hasBit(request.have, index)) yield sealed({ at, frame: framed(bytes) })
    index += 1
  }
}

function framed(bytes: Uint8Array): Uint8Array {
  const frame = chunkFrame(bytes.length)
  frame.set(bytes, chunkHeadBytes)
  return frame
}

function framesOf({ length, chunkBytes, have }: ImageRequest): readonly Frame[] {
  const frames: Frame[] = []
  for (let index = 0; index * chunkBytes < length; index++) {
    const at = index * chunkBytes
    if (!hasBit(have, index)) frames.push({ at, frame: chunkFrame(Math.min(chunkBytes, length - at)) })
  }
  return frames
}

function fill(frames: readonly Frame[], bytes: Uint8Array, { length }: ImageRequest): void {
  if (bytes.length !== length) throw unread(`${length} bytes`, String(bytes.length))
  for (const { at, frame } of frames) frame.set(bytes.subarray(at, at + frame.length - chunkHeadBytes), chunkHeadBytes)
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

async function readInto(frames: readonly Frame[], { path, offset }: FileRange): Promise<void> {
  let file: FileHandle | undefined
  try {
    file = await open(path)
    for (const run of runsOf(frames)) {
      const rooms = run.map(({ frame }) => frame.subarray(chunkHeadBytes))
      const expected = rooms.reduce((sum, { length }) => sum + length, 0)
      // Every chunk in its place with one call.
      const { bytesRead } = await file.readv(rooms, offset + (run[0]?.at ?? 0))
      if (bytesRead !== expected) throw unread(`${expected} bytes`, String(bytesRead))
    }
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'OtaError') throw cause
    throw fail('IMAGE_NOT_READ', 'expected to read the image, found that its file cannot be read', { cause })
  } finally {
    await file?.close()
  }
}

/** Chunks that follow one another without a gap. */
function runsOf(frames: readonly Frame[]): readonly (readonly Frame[])[] {
  const runs: Frame[][] = []
  let end = -1
  for (const frame of frames) {
    if (frame.at === end) runs.at(-1)?.push(frame)
    else runs.push([frame])
    end = frame.at + frame.frame.length - chunkHeadBytes
  }
  return runs
}

function isFile(body: Body): body is FileRange {
  return 'path' in body
}

function unread(expected: string, found: string): Error {
  return fail('IMAGE_NOT_READ', `expected ${expected} of the image, found ${found}`)
}
