import { fail } from '../core-errors.ts'
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
    held.push(Object.freeze({ component, image: await hold(repository, descriptor, deps, context) }))
  }
  return prove('fetch', { verified, images: Object.freeze(held) })
}
