import { type AgentPort, type ByteStream, coreError, type RunContext } from '@reflash/core'
import { fail } from '../cli-errors.ts'
import type { OfferedImage } from './update-server.ts'

/** One image on its way into a slot. */
export interface Download {
  readonly port: AgentPort
  readonly image: OfferedImage
  /** The bytes from `offset` on. */
  open(offset: number): Promise<ByteStream> | ByteStream
  /** Called with what the slot holds already. */
  onBegin(received: number): Promise<void>
  onProgress(received: number): void
  readonly context: RunContext
}

/**
 * Fills the slot with an image, going on where an earlier run has stopped. Nothing is checked here: `activate` reads back what lies in flash.
 * @throws `TRAILING_BYTES` where the server sends too much, `DOWNLOAD_CUT` where it sends too little, what the server and the port throw
 */
export async function downloadImage({ port, image, open, onBegin, onProgress, context }: Download): Promise<void> {
  const { offset } = await port.begin(image, context)
  await onBegin(offset)
  if (offset === image.size) return
  let at = offset
  for await (const chunk of await open(offset)) {
    if (at + chunk.length > image.size) {
      throw coreError('TRAILING_BYTES', `${image.digest}: expected ${image.size} bytes, found at least ${at + chunk.length}`)
    }
    for (let from = 0; from < chunk.length; from += port.maxChunkBytes) {
      const part = chunk.subarray(from, from + port.maxChunkBytes)
      await port.write(at, part, context)
      at += part.length
      onProgress(at)
    }
  }
  if (at < image.size) throw fail('DOWNLOAD_CUT', `expected ${image.size} bytes, found the end after ${at}`)
}
