import crc from 'crc-32'

/** CRC-32 where the runtime has none; the package's result is signed. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return crc.buf(bytes, seed) >>> 0
}
