import { hasBit } from '../wire/bitmap.ts'
import type { ChunkAck } from '../wire/chunk-ack.ts'

/** A part of one write. */
export interface WindowChunk {
  readonly offset: number
  readonly end: number
}

/**
 * Which chunks of one write are to be sent now: as many as the window holds, and again those that the device says are missing. Pure: times
 * come in.
 */
export interface ChunkWindow<T extends WindowChunk> {
  /** Of the first byte that the device does not say it has. */
  readonly next: number
  readonly isDone: boolean
  /** Takes what the device says; true where it has more than before. */
  heard(ack: Pick<ChunkAck, 'next' | 'bitmap'>, nowMs: number): boolean
  /** The chunks to send now, marked as sent. */
  due(nowMs: number): readonly T[]
  /** All that was sent and is not acknowledged counts as lost: it is due again. */
  lose(): void
}

interface Sent<T> {
  readonly chunk: T
  /** Undefined where it is due. */
  sentMs: number | undefined
  isHeld: boolean
}

export interface WindowOptions {
  readonly chunkBytes: number
  readonly windowBytes: number
  /** A chunk that is missing behind one that was sent later is sent again, but not more often than this. */
  readonly againMs: number
}

/** `chunks` follow one another without a gap, each `chunkBytes` long but the last. */
export function chunkWindow<T extends WindowChunk>(
  chunks: readonly T[],
  { chunkBytes, windowBytes, againMs }: WindowOptions,
): ChunkWindow<T> {
  const all: Sent<T>[] = chunks.map((chunk) => ({ chunk, sentMs: undefined, isHeld: false }))
  const end = chunks.at(-1)?.end ?? 0
  let first = 0
  let next = chunks[0]?.offset ?? 0

  function markHeld(bitmap: Uint8Array, nowMs: number): void {
    let highest = -1
    for (let index = first; index < all.length; index++) {
      const sent = all[index] as Sent<T>
      // The device counts in whole chunks from the first byte that it lacks.
      const bit = (sent.chunk.offset - next) / chunkBytes
      if (Number.isInteger(bit) && hasBit(bitmap, bit)) {
        sent.isHeld = true
        highest = index
      }
    }
    for (let index = first; index < highest; index++) {
      const sent = all[index] as Sent<T>
      if (!sent.isHeld && sent.sentMs !== undefined && nowMs - sent.sentMs >= againMs) sent.sentMs = undefined
    }
  }

  return {
    get next() {
      return next
    },
    get isDone() {
      return next >= end
    },
    heard(ack, nowMs) {
      if (ack.next < next) return false
      const isMore = ack.next > next
      next = ack.next
      while (first < all.length && (all[first] as Sent<T>).chunk.end <= next) first += 1
      markHeld(ack.bitmap, nowMs)
      return isMore
    },
    due(nowMs) {
      const found: T[] = []
      for (let index = first; index < all.length; index++) {
        const sent = all[index] as Sent<T>
        if (sent.chunk.end - next > windowBytes && index > first) break
        if (sent.isHeld || sent.sentMs !== undefined) continue
        sent.sentMs = nowMs
        found.push(sent.chunk)
      }
      return found
    },
    lose() {
      for (const sent of all) {
        sent.sentMs = undefined
        sent.isHeld = false
      }
    },
  }
}
