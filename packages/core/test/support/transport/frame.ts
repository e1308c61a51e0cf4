import { concat, crc32, type Json } from '@reflash/core'

/** A message of the framed wire. */
export interface Frame {
  readonly sequence: number
  readonly said: { readonly [key: string]: Json }
  readonly bytes: Uint8Array
}

const headBytes = 12

/**
 * | offset | bytes | holds |
 * |---|---|---|
 * | 0 | 4 | CRC-32 of all behind it, big-endian |
 * | 4 | 4 | sequence of the question; its answer has the same |
 * | 8 | 4 | length of the JSON |
 * | 12 | .. | JSON, then bytes up to the end |
 */
export function encodeFrame({ sequence, said, bytes }: Frame): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(said))
  const frame = concat([new Uint8Array(headBytes), text, bytes])
  const view = new DataView(frame.buffer)
  view.setUint32(4, sequence)
  view.setUint32(8, text.length)
  view.setUint32(0, crc32(frame.subarray(4)))
  return frame
}

/** Whether a frame has come as it was sent. */
export function isWhole(frame: Uint8Array): boolean {
  return frame.length >= headBytes && crc32(frame.subarray(4)) === new DataView(frame.buffer, frame.byteOffset).getUint32(0)
}

/** Undefined where it was damaged on its way. */
export function decodeFrame(frame: Uint8Array, check = isWhole): Frame | undefined {
  if (frame.length < headBytes || !check(frame)) return undefined
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  const end = headBytes + view.getUint32(8)
  try {
    const said = JSON.parse(new TextDecoder().decode(frame.subarray(headBytes, end))) as Frame['said']
    return { sequence: view.getUint32(4), said, bytes: frame.slice(end) }
  } catch {
    return undefined
  }
}
