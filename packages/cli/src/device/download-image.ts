import { type AgentPort, type ByteStream, coreError, isOtaError, type OtaError, type RunContext } from '@reflash/core'
import { fail } from '../cli-errors.ts'
import type { OfferedImage } from './update-server.ts'

/** One image on its way into a slot. */
export interface Download {
  readonly port: AgentPort
  readonly image: OfferedImage
  /** The bytes from `offset` on. */
  open(offset: number): Promise<ByteStream>
  /** Called once, with what the slot held already. */
  onBegin(received: number): Promise<void>
  onProgress(received: number): void
  onRetry(error: OtaError): void
  wait(milliseconds: number, signal: AbortSignal): Promise<void>
  readonly context: RunContext
}

/** In a row without a byte between them; a network that comes and goes for a minute is survived. */
const triesWithoutProgress = 6
const firstPauseMs = 250

/**
 * Fills the slot with an image, going on where an earlier run or a lost connection has stopped. Nothing is checked here: `activate` reads
 * back what lies in flash.
 * @throws `SIZE_MISMATCH` where the server sends too much, what the server and the port throw
 */
export async function downloadImage(download: Download): Promise<void> {
  const { port, image, context } = download
  let begun = false
  for (let failures = 0; ; ) {
    const { offset } = await port.begin(image, context)
    if (!begun) await download.onBegin(offset)
    begun = true
    let at = offset
    const onProgress = (received: number): void => {
      at = received
      download.onProgress(received)
    }
    try {
      if (offset < image.size) await fill({ ...download, onProgress }, offset)
      if (at === image.size) return
      throw fail('DOWNLOAD_CUT', `expected ${image.size} bytes, found the end after ${at}`)
    } catch (error) {
      if (!isOtaError(error) || error.fault !== 'unavailable') throw error
      failures = at > offset ? 1 : failures + 1
      if (failures === triesWithoutProgress) throw error
      download.onRetry(error)
      await download.wait(firstPauseMs * 2 ** (failures - 1), context.signal)
    }
  }
}

async function fill({ port, image, open, onProgress, context }: Download, offset: number): Promise<void> {
  let at = offset
  for await (const chunk of await open(offset)) {
    if (at + chunk.length > image.size) {
      throw coreError('SIZE_MISMATCH', `${image.digest}: expected ${image.size} bytes, found at least ${at + chunk.length}`)
    }
    for (let from = 0; from < chunk.length; from += port.maxChunkBytes) {
      const part = chunk.subarray(from, from + port.maxChunkBytes)
      await port.write(at, part, context)
      at += part.length
      onProgress(at)
    }
  }
}
