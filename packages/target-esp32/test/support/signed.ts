import { createHash } from 'node:crypto'
import { concat, crc32 } from '@reflash/core'

/** An image with a secure boot v2 sector whose blocks have the right digest and CRC; nobody's key made them. */
export function withSignatureSector(image: Uint8Array, blocks = 1): Uint8Array {
  const padded = concat([image, new Uint8Array((4096 - (image.length % 4096)) % 4096).fill(0xff)])
  const sector = new Uint8Array(4096).fill(0xff)
  for (let index = 0; index < blocks; index++) {
    const block = new Uint8Array(1216)
    block.set([0xe7, 0x02, 0x00, 0x00])
    block.set(createHash('sha256').update(padded).digest(), 4)
    block.fill(index + 1, 36, 1196)
    new DataView(block.buffer).setUint32(1196, crc32(block.subarray(0, 1196)), true)
    sector.set(block, index * 1216)
  }
  return concat([padded, sector])
}
