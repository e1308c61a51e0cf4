import { type ByteStream, coreError } from '@reflash/core'

/**
 * Passes on a part of content, of which only the length can be checked. Holds back the last chunk until the source has ended, so that a
 * byte too many is seen in time.
 * @throws `TRUNCATED`, `TRAILING_BYTES`
 */
export async function* exactly(stream: ByteStream, bytes: number, what: string): ByteStream {
  let seen = 0
  let held: Uint8Array | undefined
  for await (const chunk of stream) {
    seen += chunk.length
    if (seen > bytes) throw wrongSize(what, bytes, seen, `at least ${seen}`)
    if (held !== undefined) yield held
    held = chunk
  }
  if (seen < bytes) throw wrongSize(what, bytes, seen, `the end after ${seen}`)
  if (held !== undefined) yield held
}

/** The error for content that ends too early, or goes on too long. */
export function wrongSize(what: string, expected: number, found: number, shown = `${found}`): Error {
  const code = found < expected ? 'TRUNCATED' : 'TRAILING_BYTES'
  return coreError(code, `${what}: expected ${expected} bytes, found ${shown}; nothing was used`, { details: { expected } })
}
