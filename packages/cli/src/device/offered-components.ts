import type { Digest, Reason } from '@reflash/core'
import { fail } from '../cli-errors.ts'
import type { OfferedImage, ReceivedAnswer } from './update-server.ts'

/** An image as reflash's own protocols tell of it; each has members of its own besides, by which it is asked for. */
interface ToldComponent {
  readonly component: string
  readonly digest: Digest
  readonly size: number
  readonly crc32: number
  readonly coding?: string
  readonly base?: Digest
}

interface ToldAnswer<C> {
  readonly offer?: { readonly seq: number; readonly version: string; readonly components: readonly C[] }
  readonly cancel?: number
  readonly wants?: readonly string[]
  readonly pollAfterMs: number
  readonly because: readonly Reason[]
}

/** What an agent sees of the answers of one protocol, and what it does not see. */
export interface OfferedComponents<C> {
  /** @throws `DEVICE_UNSUPPORTED` where an image is not whole */
  received(answer: ToldAnswer<C>): ReceivedAnswer
  /** By what an image is asked for: the affair of its protocol. */
  of(image: OfferedImage): C
}

/** Reads the answers of a server that speaks a protocol of reflash. */
export function offeredComponents<C extends ToldComponent>(): OfferedComponents<C> {
  const components = new WeakMap<OfferedImage, C>()

  function imageOf(told: C): OfferedImage {
    const { component, digest, size, crc32, coding, base } = told
    if (coding !== undefined || base !== undefined)
      throw fail('DEVICE_UNSUPPORTED', `expected a whole image, found one coded as ${coding ?? 'a delta'}`)
    const image = { component, digest, size, crc32 }
    components.set(image, told)
    return image
  }

  return {
    received: ({ offer, cancel, wants = [], pollAfterMs, because }) => ({
      ...(offer === undefined ? {} : { offer: { seq: offer.seq, version: offer.version, images: offer.components.map(imageOf) } }),
      ...(cancel === undefined ? {} : { cancel }),
      wantsEvidence: wants.includes('evidence'),
      pollAfterMs,
      because,
    }),
    of: (image) => components.get(image) as C,
  }
}
