import { createHash } from 'node:crypto'
import { type ByteStream, crc32, type Digest, type DigestAlgorithm, type FlashPort, type Observation, type RunContext } from '@reflash/core'
import { readExactly } from './guarded-port.ts'

/** Bytes per read: large enough that the round trips of a cable do not count, small enough to cancel soon. */
const blockBytes = 16_384

/** The bytes of a region of flash, read as they are asked for. */
export async function* flashStream(port: FlashPort, offset: number, length: number, context: RunContext): ByteStream {
  for (let at = 0; at < length; at += blockBytes) yield await readExactly(port, offset + at, Math.min(blockBytes, length - at), context)
}

export type ReadBack = Extract<Observation, { by: 'read-back' }> & { readonly crc32: number }

/** Reads `length` bytes back and says what they are; nothing is taken from what was written. */
export async function readBack(
  port: FlashPort,
  offset: number,
  length: number,
  algorithm: DigestAlgorithm,
  context: RunContext,
): Promise<ReadBack> {
  const hash = createHash(algorithm)
  let crc = 0
  let size = 0
  for await (const block of flashStream(port, offset, length, context)) {
    hash.update(block)
    crc = crc32(block, crc)
    size += block.length
    context.progress?.(size, length)
  }
  const digest = `${algorithm}:${hash.digest('hex')}` as Digest
  return { by: 'read-back', digest, size, crc32: crc }
}
