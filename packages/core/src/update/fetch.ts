import type { ByteStream } from '../content/byte-stream.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import type { HeldImage } from '../plugin/cache.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { hold } from './held-content.ts'
import { demand, prove } from './proof.ts'
import type { Held, ReleaseDeps, Verified } from './release-line.ts'

/**
 * Brings every image of a verified release to rest, whole and checked, before anything reads it.
 * @throws `TOO_LARGE` (invalid), `TRUNCATED`, `TRAILING_BYTES`, `DIGEST_MISMATCH` (rejected), `FORGED_PROOF`, and what registry and cache throw
 */
export async function fetch(verified: Verified, deps: ReleaseDeps, context: RunContext): Promise<Held> {
  demand('verify', verified)
  const { repository, images } = verified.resolved
  const held: Held['images'][number][] = []
  for (const { component, descriptor } of images) {
    if (descriptor.size > deps.imageLimitBytes) {
      throw fail(
        'TOO_LARGE',
        `${descriptor.digest}: expected an image of at most ${deps.imageLimitBytes} bytes (imageLimitBytes), found ${descriptor.size}`,
        {
          stage: 'fetch',
        },
      )
    }
    held.push(Object.freeze({ component, image: reachable(repository, await hold(repository, descriptor, deps, context)) }))
  }
  return prove('fetch', { verified, images: Object.freeze(held) })
}

/**
 * An image that is read long after it was checked may have to be fetched again: what comes in its place then says nothing of the release, and
 * nothing of the device that is waiting for it.
 */
function reachable(repository: string, image: HeldImage): HeldImage {
  async function* again(stream: ByteStream): ByteStream {
    try {
      yield* stream
    } catch (error) {
      if (!isOtaError(error) || (error.fault !== 'rejected' && error.fault !== 'invalid')) throw error
      const message = `${repository}@${image.descriptor.digest}: expected the image that was verified before, found something else: ${error.message}`
      throw fail('RELEASE_UNREACHABLE', message, { because: error.because, cause: error })
    }
  }
  return Object.freeze<HeldImage>({
    ...image,
    open: (range) => again(image.open(range)),
    body(range) {
      const body = image.body(range)
      return Symbol.asyncIterator in body ? again(body) : body
    },
  })
}
