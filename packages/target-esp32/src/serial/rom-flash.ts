import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { concat, isOtaError, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { flashSectorBytes } from '../flash/flash-sector.ts'
import type { RomConversation, RomTimes } from './rom-conversation.ts'
import { blockRequest, parseMd5, type RomRequest, romBlockBytes, romCommands, romReadBytes, words } from './rom-protocol.ts'

const compress = promisify(deflate)
const mebibyte = 1024 * 1024

/** How often one piece of work is tried: what fails three times in a row is no chance. */
export const attemptLimit = 3
/** Read before their MD5 is compared: a damaged answer costs little, and the MD5 does not count. */
const readPieceBytes = 0x1_0000
/** Written before their MD5 is compared. */
const writePieceBytes = 0x1_0000
/** What was read stays known by its MD5, so that it is read once: the ROM gives 64 bytes an answer. As much as an image can have. */
const knownLimitBytes = 16 * mebibyte

/** The flash behind a ROM loader, for one caller at a time, who has checked that ranges lie within it. */
export interface RomFlash {
  /** Work that had to be done again so far. */
  readonly retries: number
  read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>
  erase(offset: number, length: number, signal: AbortSignal): Promise<void>
  write(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void>
  md5(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array>
}

/**
 * Reads and writes flash through a ROM. Neither its requests nor its answers are protected on the line, so that everything is held against the
 * MD5 that the chip computes over its flash, and done again where it differs.
 */
export function romFlash(rom: RomConversation, times: RomTimes): RomFlash {
  const known = knownBytes()
  /** Sectors that this connection has erased, and not written since. */
  const blank = new Set<number>()
  let retries = 0

  const ask = (request: RomRequest, signal: AbortSignal, moreMs = 0) => rom.ask(request, { signal, moreMs })
  const md5 = async (offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> => {
    const request = { command: romCommands.flashMd5, data: words(offset, length, 0, 0) }
    const { data } = await rom.ask(request, { signal, dataBytes: [32], moreMs: (times.md5MsPerMiB * length) / mebibyte })
    return parseMd5(data)
  }
  /** Does work until flash has this MD5. */
  const until = async (what: string, expected: () => Promise<boolean>, work: () => Promise<void>, signal: AbortSignal): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      const last = attempt === attemptLimit
      try {
        await work()
        if (await expected()) return
        if (last) throw fail('SERIAL_DAMAGED', `${what}: expected what was sent, found something else by its MD5, ${attempt} times`)
      } catch (error) {
        throwIfAborted(signal)
        if (last || !isWorthAnother(error)) throw error
      }
      retries++
    }
  }

  async function readPiece(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    let bytes = new Uint8Array(0)
    await until(
      `flash at ${offset}`,
      async () => known.add(bytes) === hexOf(await md5(offset, length, signal)),
      async () => {
        const before = known.get(hexOf(await md5(offset, length, signal)), length)
        bytes = (before ?? (await readSlowly(offset, length, signal))) as Uint8Array<ArrayBuffer>
      },
      signal,
    )
    return bytes
  }

  async function readSlowly(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at += romReadBytes) {
      const part = Math.min(romReadBytes, length - at)
      const { data } = await rom.ask(
        { command: romCommands.readFlash, data: words(offset + at, part) },
        { signal, dataBytes: [romReadBytes] },
      )
      bytes.set(data.subarray(0, part), at)
    }
    return bytes
  }

  /** Whole sectors that are blank: compressed. The ROM erases them once more before it writes. */
  async function writeSectors(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const packed = await compress(bytes, { level: 9 })
    const blocks = Math.ceil(packed.length / romBlockBytes)
    const size = Math.ceil(bytes.length / romBlockBytes) * romBlockBytes
    const moreMs = (times.eraseMsPerMiB * (size + flashSectorBytes)) / mebibyte
    await ask({ command: romCommands.deflateBegin, data: words(size, blocks, romBlockBytes, offset) }, signal, moreMs)
    for (let block = 0; block < blocks; block++) {
      const data = packed.subarray(block * romBlockBytes, (block + 1) * romBlockBytes)
      // A block may unfold into many: writing them takes its time.
      await ask(blockRequest(romCommands.deflateData, data, block), signal, moreMs)
    }
  }

  /** In place, without erasing: what lies around is filled with ones, which change nothing. */
  async function writeInPlace(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const before = offset % 4
    const filled = concat([new Uint8Array(before).fill(0xff), bytes])
    const blocks = Math.ceil(filled.length / romBlockBytes)
    await ask({ command: romCommands.flashBegin, data: words(0, blocks, romBlockBytes, offset - before) }, signal)
    for (let block = 0; block < blocks; block++) {
      const data = new Uint8Array(romBlockBytes).fill(0xff)
      data.set(filled.subarray(block * romBlockBytes, (block + 1) * romBlockBytes))
      await ask(blockRequest(romCommands.flashData, data, block), signal, (times.eraseMsPerMiB * romBlockBytes) / mebibyte)
    }
  }

  async function writePiece(offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const sectors = sectorsOf(offset, bytes.length)
    const isBlank = sectors.every((sector) => blank.has(sector))
    for (const sector of sectors) blank.delete(sector)
    const isWhole = isBlank && offset % flashSectorBytes === 0
    // In place, bits that are 0 stay 0: what will stand there is known only with what stands there now.
    const wanted = isBlank ? bytes : mask(await readPiece(offset, bytes.length, signal), bytes)
    const expected = known.add(wanted)
    await until(
      `flash at ${offset}`,
      async () => hexOf(await md5(offset, bytes.length, signal)) === expected,
      () => (isWhole ? writeSectors(offset, bytes, signal) : writeInPlace(offset, bytes, signal)),
      signal,
    )
  }

  return {
    get retries() {
      return retries
    },
    md5,
    async read(offset, length, signal) {
      const pieces: Uint8Array[] = []
      for (let at = 0; at < length; at += readPieceBytes) {
        pieces.push(await readPiece(offset + at, Math.min(readPieceBytes, length - at), signal))
      }
      // A copy: what is known must not change with what its reader does.
      return concat(pieces).slice()
    },
    async erase(offset, length, signal) {
      if (length === 0) return
      const expected = md5OfBlank(length)
      await until(
        `flash at ${offset}`,
        async () => hexOf(await md5(offset, length, signal)) === expected,
        async () => {
          const moreMs = (times.eraseMsPerMiB * length) / mebibyte
          await ask({ command: romCommands.flashBegin, data: words(length, 0, romBlockBytes, offset) }, signal, moreMs)
        },
        signal,
      )
      for (const sector of sectorsOf(offset, length)) blank.add(sector)
    },
    async write(offset, bytes, signal) {
      for (let at = 0; at < bytes.length; at += writePieceBytes) {
        await writePiece(offset + at, bytes.subarray(at, at + writePieceBytes), signal)
      }
    },
  }
}

function isWorthAnother(error: unknown): boolean {
  return isOtaError(error) && ['SERIAL_NO_ANSWER', 'ROM_REFUSED', 'ROM_RESPONSE_INVALID'].includes(error.code)
}

function sectorsOf(offset: number, length: number): readonly number[] {
  const first = Math.floor(offset / flashSectorBytes)
  return Array.from({ length: Math.ceil((offset + length) / flashSectorBytes) - first }, (_, index) => first + index)
}

function mask(old: Uint8Array, bytes: Uint8Array): Uint8Array {
  return old.map((byte, index) => byte & (bytes[index] as number))
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function md5OfBlank(length: number): string {
  const hash = createHash('md5')
  const block = new Uint8Array(Math.min(length, mebibyte)).fill(0xff)
  for (let at = 0; at < length; at += block.length) hash.update(block.subarray(0, Math.min(block.length, length - at)))
  return hash.digest('hex')
}

/** Bytes by their MD5, the oldest forgotten first. */
function knownBytes() {
  const byMd5 = new Map<string, Uint8Array>()
  let size = 0
  return {
    /** Keeps a copy; returns the MD5. */
    add(bytes: Uint8Array): string {
      const md5 = createHash('md5').update(bytes).digest('hex')
      // What is read faster than it is asked for, or is more than may be kept, is not.
      if (byMd5.has(md5) || bytes.length <= romReadBytes || bytes.length > knownLimitBytes) return md5
      byMd5.set(md5, bytes.slice())
      size += bytes.length
      for (const [oldest, { length }] of byMd5) {
        if (size <= knownLimitBytes) break
        byMd5.delete(oldest)
        size -= length
      }
      return md5
    },
    get(md5: string, length: number): Uint8Array | undefined {
      const bytes = byMd5.get(md5)
      return bytes?.length === length ? bytes : undefined
    },
  }
}
