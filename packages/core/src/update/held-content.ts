import { collect } from '../content/byte-stream.ts'
import { checked } from '../content/checked.ts'
import type { Descriptor } from '../content/descriptor.ts'
import { manifestLimitBytes } from '../content/media-types.ts'
import { fail } from '../core-errors.ts'
import type { HeldImage } from '../plugin/cache.ts'
import type { RunContext } from '../plugin/plugin.ts'
import type { ReleaseDeps } from './release-line.ts'

type Deps = Pick<ReleaseDeps, 'registry' | 'cache'>

/**
 * Holds content in the cache, so that a restart does not need the registry.
 * @throws `BROKEN_PLUGIN` where the cache holds something else, and what cache and registry throw
 */
export async function hold(repository: string, descriptor: Descriptor, deps: Deps, context: RunContext): Promise<HeldImage> {
  // The download is shared, and an evicted image is fetched again long after this run: it ends with the cache's signal, not with ours.
  const open = ({ signal }: { readonly signal: AbortSignal }) => deps.registry.fetch(repository, descriptor, { signal })
  const held = await deps.cache.hold(descriptor, open, context)
  const { digest, size } = held.descriptor
  if (digest === descriptor.digest && size === descriptor.size) return held
  throw fail(
    'BROKEN_PLUGIN',
    `cache ${deps.cache.name}: expected ${descriptor.digest} with ${descriptor.size} bytes, found ${digest} with ${size}`,
  )
}

/**
 * The bytes of a manifest, an index or a signature: small by rule. They are checked once more as they leave the cache, because everything
 * that is believed of a release is read from them.
 * @throws `MANIFEST_TOO_LARGE` before a byte of it is asked for; `TRUNCATED`, `TRAILING_BYTES`, `DIGEST_MISMATCH`
 */
export async function smallContent(repository: string, descriptor: Descriptor, deps: Deps, context: RunContext): Promise<Uint8Array> {
  if (!(descriptor.size <= manifestLimitBytes)) {
    throw fail(
      'MANIFEST_TOO_LARGE',
      `${descriptor.mediaType} ${descriptor.digest}: expected at most ${manifestLimitBytes} bytes, found ${descriptor.size}; the limit is fixed`,
    )
  }
  const held = await hold(repository, descriptor, deps, context)
  return collect(checked(held.open(), descriptor, { signal: context.signal }), manifestLimitBytes, descriptor.mediaType)
}
