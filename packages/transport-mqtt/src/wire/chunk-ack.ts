import { crc32 } from '@reflash/core'
import { fail } from '../mqtt-errors.ts'
import { invalid } from './json-message.ts'

const headBytes = 18
/** Bytes of the bitmap: 512 chunks ahead, more than any window. */
const bitmapLimitBytes = 64
const magic = 0x5241_0100
const kinds = ['held', 'unknown', 'refused', 'busy'] as const

/** What a device holds of a transfer. */
export interface ChunkAck {
  readonly transfer: number
  /**
   * `unknown`: the device has no such transfer, most often because it was restarted. `refused`, `busy`: it could not store a chunk, for good or
   * for now, and has left the transfer.
   */
  readonly is: (typeof kinds)[number]
  /** All bytes before this one are stored. */
  readonly next: number
  /** Bit `i`, from the least of byte 0 on: the chunk `i` chunks after `next` is held as well; what is 0 below the highest bit is missing. */
  readonly bitmap: Uint8Array
}

/**
 * What a device says after chunks, on `up/{id}/ack/{instance}`. Big endian.
 *
 *   off  size  field
 *     0     2  "RA"
 *     2     1  format, 1
 *     3     1  0: held; 1: no such transfer here; 2, 3: a chunk could not be stored, for good or for now. But for 0, `next` and bitmap say nothing
 *     4     4  transfer
 *     8     4  next: all bytes before are stored
 *    12     4  CRC-32 of bytes 0 to 11 and of all from byte 16 on
 *    16     2  bytes of the bitmap, 0 to 64
 *    18     n  bitmap: which chunks after `next` are held too; what is 0 below the highest bit is missing
 */
export function encodeChunkAck({ transfer, is, next, bitmap }: ChunkAck): Uint8Array {
  const frame = new Uint8Array(headBytes + bitmap.length)
  const view = new DataView(frame.buffer)
  view.setUint32(0, magic | kinds.indexOf(is))
  view.setUint32(4, transfer)
  view.setUint32(8, next)
  view.setUint16(16, bitmap.length)
  frame.set(bitmap, headBytes)
  view.setUint32(12, checksum(frame))
  return frame
}

/** @throws `INVALID_MESSAGE`, `CHUNK_CORRUPT` */
export function decodeChunkAck(frame: Uint8Array): ChunkAck {
  if (frame.length < headBytes || frame.length > headBytes + bitmapLimitBytes) {
    throw invalid('ack', `${headBytes} to ${headBytes + bitmapLimitBytes} bytes`, String(frame.length))
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  const is = kinds[view.getUint32(0) - magic]
  if (is === undefined) throw invalid('ack', '"RA", format 1, 0 to 3', 'another beginning')
  if (view.getUint32(12) !== checksum(frame)) throw fail('CHUNK_CORRUPT', 'ack: expected another CRC-32 than was found')
  if (view.getUint16(16) !== frame.length - headBytes) throw invalid('ack', 'a bitmap as long as it says', 'another length')
  const transfer = view.getUint32(4)
  if (transfer === 0) throw invalid('ack', 'a transfer from 1 on', '0')
  return { transfer, is, next: view.getUint32(8), bitmap: frame.slice(headBytes) }
}

function checksum(frame: Uint8Array): number {
  return crc32(frame.subarray(16), crc32(frame.subarray(0, 12)))
}
