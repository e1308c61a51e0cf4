import { close, open, read } from 'node:fs'
import type { Body, ByteStream, FileRange } from '@reflash/core'
import { closeBody, isFileRange, isList } from '../body.ts'
import { fail } from '../http-errors.ts'
import type { HttpBody } from '../http-message.ts'

/** A part whose source is known to be there. */
export type OpenedPart =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly file: number; readonly offset: number; readonly length: number }
  | { readonly kind: 'stream'; readonly first: IteratorResult<Uint8Array>; readonly rest: AsyncIterator<Uint8Array> }

/** A body that can be sent: files are open, streams have yielded their first chunk, so that what fails fails while the head is unsent. */
export interface OpenedBody {
  readonly parts: readonly OpenedPart[]
  close(): void
}

/** @throws `IMAGE_UNREADABLE`, and whatever a stream throws at its first chunk */
export async function openBody(body: HttpBody): Promise<OpenedBody> {
  const bodies = isList(body) ? body : [body]
  const files = new Map<string, number>()
  const parts: OpenedPart[] = []
  const opened: OpenedBody = {
    parts,
    close() {
      for (const file of files.values()) close(file, ignore)
      files.clear()
      for (const part of parts) {
        if (part.kind === 'stream') void Promise.resolve(part.rest.return?.()).catch(ignore)
      }
    },
  }
  try {
    for (const each of bodies) parts.push(await openPart(each, files))
  } catch (error) {
    opened.close()
    for (const each of bodies.slice(parts.length + 1)) if (typeof each !== 'string') closeBody(each)
    throw error
  }
  return opened
}

async function openPart(body: string | Body, files: Map<string, number>): Promise<OpenedPart> {
  if (typeof body === 'string') return { kind: 'bytes', bytes: Buffer.from(body) }
  if (body instanceof Uint8Array) return { kind: 'bytes', bytes: body }
  if (!isFileRange(body)) return openStream(body)
  let file = files.get(body.path)
  if (file === undefined) {
    file = await openFile(body)
    files.set(body.path, file)
  }
  return { kind: 'file', file, offset: body.offset, length: body.length }
}

async function openStream(stream: ByteStream): Promise<OpenedPart> {
  const rest = stream[Symbol.asyncIterator]()
  return { kind: 'stream', first: await rest.next(), rest }
}

function openFile({ path }: FileRange): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, 'r', (error, file) => {
      if (error === null) resolve(file)
      else reject(fail('IMAGE_UNREADABLE', 'expected to open the file of an image, found that it cannot be', { cause: error }))
    })
  })
}

/** Reads up to the length of `into`; 0 at the end. @throws `IMAGE_UNREADABLE` */
export function readFileAt(file: number, into: Uint8Array, length: number, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(file, into, 0, length, offset, (error, count) => {
      if (error === null) resolve(count)
      else reject(fail('IMAGE_UNREADABLE', 'expected to read the file of an image, found that it cannot be', { cause: error }))
    })
  })
}

function ignore(): void {}
