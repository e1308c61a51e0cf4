import { type FileHandle, open } from 'node:fs/promises'
import { type Body, type ByteStream, concat, type FileRange } from '@reflash/core'
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
 * Makes the chunks of a request from the bytes of the image that it asks for.
 * @throws `IMAGE_NOT_READ`
 */
export async function imageChunks(body: Body, request: ImageRequest): Promise<readonly Uint8Array[]> {
  const frames = framesOf(request)
  if (body instanceof Uint8Array) fill(frames, body, request)
  else if (isFile(body)) await readInto(frames, body)
  else fill(frames, await whole(body, request), request)
  return frames.map(({ at, frame }) => sealChunk(frame, request.re, request.offset + at))
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

async function whole(stream: ByteStream, { length }: ImageRequest): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    size += chunk.length
    if (size > length) throw unread(`${length} bytes`, 'more')
  }
  return concat(chunks, size)
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
