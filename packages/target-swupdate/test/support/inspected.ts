import { type HeldImage, type ImageInfo, isOtaError, streamOf } from '@reflash/core'
import { type SwupdateTargetOptions, swupdateTarget } from '@reflash/target-swupdate'

/** The time of every check here. */
export const now = new Date('2026-11-21T12:00:00Z')

/** What the target says of an update. */
export function inspected(bytes: Uint8Array, options: Partial<SwupdateTargetOptions>, at: Date = now): Promise<ImageInfo> {
  const target = swupdateTarget({ models: ['board'], signers: 'unchecked', ...options })
  const image = { descriptor: { size: bytes.length }, open: () => streamOf(bytes) } as unknown as HeldImage
  return target.inspect(image, { signal: new AbortController().signal, now: at })
}

/** The code by which an update is refused; `ok` where it is not. */
export async function verdict(bytes: Uint8Array, options: Partial<SwupdateTargetOptions> = {}, at: Date = now): Promise<string> {
  try {
    await inspected(bytes, options, at)
    return 'ok'
  } catch (error) {
    if (isOtaError(error)) return error.code
    throw error
  }
}
