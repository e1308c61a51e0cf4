import { crc32 } from '@reflash/core'

/** Chunks of one image in memory whose sums are kept, about 150 bytes each: 8 MiB in chunks of 2 KiB. Who asks in more ways makes them anew. */
const limit = 4096

/** CRC-32 of parts of images that lie in memory: a fleet asks for the same ones, and each is read for its sum once. */
export interface ChunkSums {
  /** `bytes` are those of this image at `offset`, in memory that stays as it is. */
  of(digest: string, offset: number, bytes: Uint8Array): number
}

/** Sums go with the memory that they are of, so that what was read badly once is not remembered beyond it. */
export function chunkSums(): ChunkSums {
  const images = new WeakMap<ArrayBufferLike, Map<string, number>>()
  return {
    of(digest, offset, bytes) {
      const sums = images.get(bytes.buffer) ?? new Map<string, number>()
      const key = `${digest} ${offset} ${bytes.length}`
      const known = sums.get(key)
      if (known !== undefined) return known
      const sum = crc32(bytes)
      if (sums.size >= limit) sums.clear()
      images.set(bytes.buffer, sums.set(key, sum))
      return sum
    },
  }
}
