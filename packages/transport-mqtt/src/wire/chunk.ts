import { concat, crc32 } from '@reflash/core'
import { fail } from '../mqtt-errors.ts'
import { crc32Join } from './crc32-join.ts'
import { invalid } from './json-message.ts'

/** Bytes before those of the image. */
export const chunkHeadBytes = 16
/** Bytes of the image in one chunk at most: what an ESP32 can hold beside its network stack, and one read of a file. */
export const chunkLimitBytes = 64 * 1024
/** Bytes that one request of a device may ask for: what a server holds for it in memory. */
export const requestLimitBytes = 256 * 1024
const magic = 0x5243_0100

/** A part of an image under way. */
export interface Chunk {
  /** The number that the request, or the begin of the transfer, gave it. */
  readonly transfer: number
  /** Of its first byte in the image. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/**
 * One chunk, on `down/{id}/image` (asked for by the device) and `down/{id}/chunk` (pushed). Big endian.
 *
 *   off  size  field
 *     0     2  "RC"
 *     2     1  format, 1
 *     3     1  0
 *     4     4  transfer
 *     8     4  offset in the image
 *    12     4  CRC-32 (IEEE 802.3) of bytes 0 to 11 and of all from byte 16 on: a chunk at the wrong place is as wrong as a flipped bit
 *    16     n  1 to 65,536 bytes of the image
 */
export function encodeChunk(chunk: Chunk): Uint8Array {
  return concat([chunkHead(chunk), chunk.bytes])
}

/** What stands before the bytes of a chunk, so that they are sent from where they are; `sum` is their CRC-32. */
export function chunkHead({ transfer, offset, bytes }: Chunk, sum = crc32(bytes)): Uint8Array {
  const head = Buffer.allocUnsafe(chunkHeadBytes)
  head.writeUInt32BE(magic, 0)
  head.writeUInt32BE(transfer, 4)
  head.writeUInt32BE(offset, 8)
  head.writeUInt32BE(crc32Join(crc32(head.subarray(0, 12)), sum, bytes.length), 12)
  return head
}

/** @throws `INVALID_MESSAGE`, `CHUNK_CORRUPT` */
export function decodeChunk(frame: Uint8Array): Chunk {
  const length = frame.length - chunkHeadBytes
  if (length < 1 || length > chunkLimitBytes) throw invalid('chunk', `1 to ${chunkLimitBytes} bytes of an image`, String(length))
  const view = new DataView(frame.buffer, frame.byteOffset, chunkHeadBytes)
  if (view.getUint32(0) !== magic) throw invalid('chunk', '"RC", format 1', 'another beginning')
  const bytes = frame.subarray(chunkHeadBytes)
  const found = crc32(bytes, crc32(frame.subarray(0, 12)))
  const expected = view.getUint32(12)
  if (found !== expected) throw fail('CHUNK_CORRUPT', `chunk: expected the CRC-32 ${expected}, found ${found}`)
  const transfer = view.getUint32(4)
  if (transfer === 0) throw invalid('chunk', 'a transfer from 1 on', '0')
  return { transfer, offset: view.getUint32(8), bytes }
}
