import { crc32 as native } from 'node:zlib'

/** CRC-32 by the runtime's own zlib. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return native(bytes, seed)
}
