import { fail } from '../core-errors.ts'
import type { RunContext } from '../plugin/plugin.ts'
import { frozenCopy } from './frozen-copy.ts'
import { demand, prove } from './proof.ts'
import type { Held, Release, ReleaseDeps } from './release-line.ts'

/**
 * Lets the target read and check every image, and declares what a device that runs it will prove.
 * @throws what the target throws, with every problem in `because`; `SIZE_MISMATCH` where the target read more than there is; `FORGED_PROOF`
 */
export async function inspect(held: Held, deps: Pick<ReleaseDeps, 'target'>, context: RunContext): Promise<Release> {
  demand('fetch', held)
  const { target } = deps
  const images: Release['images'][number][] = []
  for (const { component, image } of held.images) {
    const info = frozenCopy(await target.inspect(image, context))
    if (!(info.size <= image.descriptor.size)) {
      throw fail(
        'SIZE_MISMATCH',
        `${image.descriptor.digest}: expected ${image.descriptor.size} bytes, target ${target.name} read ${info.size}`,
        { stage: 'inspect' },
      )
    }
    images.push(Object.freeze({ component, image, info, measurements: frozenCopy((await target.measure?.(image, context)) ?? []) }))
  }
  return prove('inspect', { held, target: target.name, images: Object.freeze(images) })
}
