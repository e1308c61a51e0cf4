import { fail } from '../core-errors.ts'
import type { ByteRange } from '../plugin/cache.ts'
import type { Descriptor } from './descriptor.ts'

/** A range with both ends known, inside its content. */
export interface ByteBounds {
  readonly offset: number
  /** Bytes. */
  readonly length: number
}

/**
 * Completes a range over content of a known size; no range is the whole. A range may be empty, also at the very end.
 * @throws `INVALID_RANGE` where a part of it lies outside, or it is not of whole bytes.
 */
export function boundsOf(range: ByteRange | undefined, { digest, size }: Pick<Descriptor, 'digest' | 'size'>): ByteBounds {
  const offset = range?.offset ?? 0
  const length = range?.length ?? size - offset
  // Each is bounded by itself first: a sum of two large numbers loses bits.
  const inside = [offset, length].every((value) => Number.isSafeInteger(value) && value >= 0 && value <= size) && offset + length <= size
  if (inside) return { offset, length }
  throw fail('INVALID_RANGE', `${digest}: expected a range within ${size} bytes, found offset ${offset}, length ${length}`, {
    details: { size },
  })
}
