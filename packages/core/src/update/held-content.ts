import { collect } from '../content/byte-stream.ts'
import type { Descriptor } from '../content/descriptor.ts'
import { manifestLimitBytes } from '../content/media-types.ts'
import { fail } from '../core-errors.ts'
import type { HeldImage } from '../plugin/cache.ts'
import type { RunContext } from '../plugin/plugin.ts'
import type { ReleaseDeps } from './release-line.ts'

type Deps = Pick<ReleaseDeps, 'registry' | 'cache'>

/** Holds content in the cache, so that a restart does not need the registry. */
export function hold(repository: string, descriptor: Descriptor, deps: Deps, context: RunContext): Promise<HeldImage> {
  return deps.cache.hold(descriptor, () => deps.registry.fetch(repository, descriptor, { signal: context.signal }), context)
}

/**
 * The bytes of a manifest, an index or a signature: small by rule.
 * @throws `TOO_LARGE` before a byte of it is asked for.
 */
export async function smallContent(repository: string, descriptor: Descriptor, deps: Deps, context: RunContext): Promise<Uint8Array> {
  if (!(descriptor.size <= manifestLimitBytes)) {
    throw fail(
      'TOO_LARGE',
      `${descriptor.mediaType} ${descriptor.digest}: expected at most ${manifestLimitBytes} bytes, found ${descriptor.size}`,
    )
  }
  const held = await hold(repository, descriptor, deps, context)
  return collect(held.open(), manifestLimitBytes, descriptor.mediaType)
}
