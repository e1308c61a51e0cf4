import { type ByteStream, coreError } from '@reflash/core'

/**
 * Passes on a part of content, of which only the length can be checked. Holds back the last chunk until the source has ended, so that a
 * byte too many is seen in time.
 * @throws `SIZE_MISMATCH`
 */
export async function* exactly(stream: ByteStream, bytes: number, what: string): ByteStream {
  let seen = 0
  let held: Uint8Array | undefined
  for await (const chunk of stream) {
    seen += chunk.length
    if (seen > bytes) throw wrongSize(what, bytes, `at least ${seen}`)
    if (held !== undefined) yield held
    held = chunk
  }
  if (seen < bytes) throw wrongSize(what, bytes, `the end after ${seen}`)
  if (held !== undefined) yield held
}

export function wrongSize(what: string, expected: number, found: string): Error {
  return coreError('SIZE_MISMATCH', `${what}: expected ${expected} bytes, found ${found}; nothing was used`, { details: { expected } })
}
