import { createHash } from 'node:crypto'
import { type ByteStream, throwIfAborted } from '@reflash/core'
import { fail } from './swupdate-errors.ts'

/*
 * cpio "new ASCII with checksum" as SWUpdate reads it. Each member:
 *
 *   off size field (numbers are 8 hexadecimal digits)
 *     0    6 magic "070702"
 *     6   48 inode, mode, uid, gid, nlink, mtime
 *    54    8 bytes of the file
 *    62   32 device numbers
 *    94    8 bytes of the name, its NUL included
 *   102    8 sum of all bytes of the file, mod 2^32
 *   110      name, NUL, padding to a multiple of 4; file, padding to a multiple of 4
 *
 * The member named TRAILER!!! ends the archive; only zeros may follow.
 */
const headerBytes = 110
const magic = '070702'
const trailer = 'TRAILER!!!'

/** Members of one archive: a system has a few dozen images, scripts and files. */
const memberLimit = 256
/** Bytes of a name, its NUL included. */
export const nameLimit = 256
/** Padding behind the trailer: cpio fills blocks of 512, tape blocks have 10240. */
const paddingLimit = 10_240

export interface CpioMember {
  readonly name: string
  readonly sizeBytes: number
  /** Lower case hex. */
  readonly sha256: string
  /** The file itself, where `keep` asked for it. */
  readonly bytes: Uint8Array | undefined
}

export interface CpioOptions {
  readonly signal: AbortSignal
  /** Bytes of a member by that name that are worth keeping; nothing is kept where it answers undefined. */
  keep(name: string): number | undefined
}

/**
 * Reads an archive to its end in one pass; memory grows only with what is kept.
 * @throws `NOT_SWU`, `SWU_CUT`, `SWU_LIMIT`, `SWU_CHECKSUM`, `ABORTED`, and what the stream throws
 */
export async function readCpio(stream: ByteStream, { signal, keep }: CpioOptions): Promise<readonly CpioMember[]> {
  const source = createSource(stream, signal)
  try {
    const members: CpioMember[] = []
    for (;;) {
      const { name, sizeBytes, sum } = await readHeader(source, members.length)
      if (name === trailer) break
      if (members.length === memberLimit) throw fail('SWU_LIMIT', `expected at most ${memberLimit} members, found more`)
      members.push(await readMember(source, name, sizeBytes, sum, keep(name)))
    }
    await expectPadding(source)
    return members
  } finally {
    await source.close()
  }
}

interface Header {
  readonly name: string
  readonly sizeBytes: number
  readonly sum: number
}

async function readHeader(source: Source, index: number): Promise<Header> {
  const header = latin1(await source.take(headerBytes))
  if (!header.startsWith(magic)) {
    const found = /^07070[17]/.test(header) ? `cpio without checksums (${header.slice(0, 6)})` : 'something else'
    if (index === 0) throw fail('NOT_SWU', `expected a cpio archive that begins with ${magic}, found ${found}`)
    throw fail('SWU_CUT', `member ${index}: expected ${magic}, found ${found}`)
  }
  const number = (offset: number): number => {
    const digits = header.slice(offset, offset + 8)
    if (!/^[0-9a-fA-F]{8}$/.test(digits)) throw fail('NOT_SWU', `member ${index}: expected 8 hexadecimal digits at ${offset}, found others`)
    return Number.parseInt(digits, 16)
  }
  const [sizeBytes, nameBytes, sum] = [number(54), number(94), number(102)]
  if (nameBytes < 2 || nameBytes > nameLimit)
    throw fail('SWU_LIMIT', `member ${index}: expected a name of 1 to ${nameLimit - 1} bytes, found ${nameBytes - 1}`)
  const name = latin1(await source.take(padded(headerBytes + nameBytes) - headerBytes)).slice(0, nameBytes)
  if (name.indexOf('\0') !== nameBytes - 1) throw fail('NOT_SWU', `member ${index}: expected a name that ends with NUL, found another`)
  return { name: Buffer.from(name.slice(0, -1), 'latin1').toString('utf8'), sizeBytes, sum }
}

async function readMember(source: Source, name: string, sizeBytes: number, sum: number, limit: number | undefined): Promise<CpioMember> {
  if (limit !== undefined && sizeBytes > limit)
    throw fail('SWU_LIMIT', `${show(name)}: expected at most ${limit} bytes, found ${sizeBytes}`)
  const hash = createHash('sha256')
  const kept: Uint8Array[] = []
  let found = 0
  for (let left = sizeBytes; left > 0; ) {
    const chunk = await source.some(left)
    left -= chunk.length
    hash.update(chunk)
    for (let at = 0; at < chunk.length; at++) found = (found + (chunk[at] as number)) >>> 0
    if (limit !== undefined) kept.push(chunk.slice())
  }
  if (found !== sum) throw fail('SWU_CHECKSUM', `${show(name)}: expected bytes that add up to ${sum}, found ${found}`)
  await source.take(padded(sizeBytes) - sizeBytes)
  return { name, sizeBytes, sha256: hash.digest('hex'), bytes: limit === undefined ? undefined : Buffer.concat(kept) }
}

async function expectPadding(source: Source): Promise<void> {
  let left = paddingLimit
  for (;;) {
    const chunk = await source.rest()
    if (chunk === undefined) return
    left -= chunk.length
    if (left < 0 || chunk.some((byte) => byte !== 0)) throw fail('SWU_CUT', 'expected nothing but padding behind the trailer, found more')
  }
}

interface Source {
  /** Exactly so many bytes. @throws `SWU_CUT` */
  take(bytes: number): Promise<Uint8Array>
  /** At least one byte, at most so many. @throws `SWU_CUT` */
  some(most: number): Promise<Uint8Array>
  /** Whatever comes next; undefined at the end. */
  rest(): Promise<Uint8Array | undefined>
  close(): Promise<void>
}

function createSource(stream: ByteStream, signal: AbortSignal): Source {
  const chunks = stream[Symbol.asyncIterator]()
  let chunk: Uint8Array = new Uint8Array(0)
  let ended = false

  async function fill(): Promise<boolean> {
    while (chunk.length === 0 && !ended) {
      throwIfAborted(signal)
      const step = await chunks.next()
      if (step.done === true) ended = true
      else chunk = step.value
    }
    return chunk.length > 0
  }

  async function some(most: number): Promise<Uint8Array> {
    if (!(await fill())) throw fail('SWU_CUT', 'expected the archive to go on, found its end')
    const part = chunk.subarray(0, most)
    chunk = chunk.subarray(part.length)
    return part
  }

  return {
    some,
    async take(bytes) {
      if (bytes === 0) return chunk.subarray(0, 0)
      const first = await some(bytes)
      if (first.length === bytes) return first
      const parts = [first]
      for (let left = bytes - first.length; left > 0; ) {
        const part = await some(left)
        parts.push(part)
        left -= part.length
      }
      return Buffer.concat(parts)
    },
    async rest() {
      return (await fill()) ? await some(chunk.length) : undefined
    },
    async close() {
      if (!ended) await chunks.return?.()
    },
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** A name from an archive may hold anything. */
function show(name: string): string {
  return JSON.stringify(name)
}
