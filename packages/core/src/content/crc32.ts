import { crc32 as selected } from '#crc32'

/**
 * CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320, as zlib and PNG), unsigned.
 * `seed` is the CRC of all that came before, so that `crc32(b, crc32(a))` is the CRC of `a` followed by `b`.
 */
export const crc32: (bytes: Uint8Array, seed?: number) => number = selected
