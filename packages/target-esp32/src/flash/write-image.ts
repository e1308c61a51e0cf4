import { createHash } from 'node:crypto'
import { type ByteStream, concat, type FlashPort, type HeldImage, type RunContext, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { flashSectorBytes } from './flash-sector.ts'
import { readExactly, type WritableRegion, writerWithin } from './guarded-port.ts'

/** Erased and written at a time: a block of 64 KiB is erased fastest, and a lost block costs little. */
const blockBytes = 0x1_0000

/**
 * Writes an image into its slot, block by block: erase, then write, the last sector filled with 0xFF. Blocks from the start that already hold
 * the image are left as they are, which is how an interrupted delivery goes on; where the port computes MD5, so are all that do.
 * @throws `IMAGE_OTHER_THAN_PLANNED` where the image has another size than it claims, `FLASH_PROTECTED`, `ABORTED`, and what the port throws
 */
export async function writeImage(port: FlashPort, slot: WritableRegion, image: HeldImage, context: RunContext): Promise<void> {
  const writer = writerWithin(port, slot, context)
  const { size } = image.descriptor
  let at = 0
  let resuming = true
  for await (const block of blocksOf(image.open(), size)) {
    throwIfAborted(context.signal)
    const offset = slot.offset + at
    const isThere: boolean =
      port.md5 === undefined
        ? resuming && same(await readExactly(port, offset, block.length, context), block)
        : await holds(port, offset, block, context)
    resuming &&= isThere
    // A sector that was being erased or written when power failed may read well and fade later: all that differs is erased anew.
    if (!isThere) {
      await writer.erase(offset, block.length)
      await writer.write(offset, block)
    }
    at += block.length
    context.progress?.(Math.min(at, size), size)
  }
}

/** The stream cut into blocks of 64 KiB, the last filled with 0xFF to a whole sector. */
async function* blocksOf(source: ByteStream, size: number): ByteStream {
  let parts: Uint8Array[] = []
  let gathered = 0
  let total = 0
  for await (let chunk of source) {
    total += chunk.length
    if (total > size) throw fail('IMAGE_OTHER_THAN_PLANNED', `image: expected ${size} bytes, found more`)
    while (gathered + chunk.length >= blockBytes) {
      const taken = blockBytes - gathered
      yield concat([...parts, chunk.subarray(0, taken)])
      chunk = chunk.subarray(taken)
      parts = []
      gathered = 0
    }
    if (chunk.length > 0) parts.push(chunk)
    gathered += chunk.length
  }
  if (total < size) throw fail('IMAGE_OTHER_THAN_PLANNED', `image: expected ${size} bytes, found ${total}`)
  const filling = (flashSectorBytes - (gathered % flashSectorBytes)) % flashSectorBytes
  if (gathered > 0) yield concat([...parts, new Uint8Array(filling).fill(0xff)])
}

async function holds(port: FlashPort, offset: number, block: Uint8Array, context: RunContext): Promise<boolean> {
  const found = await port.md5?.(offset, block.length, context)
  return found !== undefined && same(found, createHash('md5').update(block).digest())
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
