/** Buffers between files and sockets, shared by all answers of one server and bounded together. */
export interface BufferPool {
  /** A buffer of about `bytes`; where the memory is spent, the next that comes free, in order of asking, which may be smaller. */
  take(bytes: number): Promise<Buffer>
  /** Returns a buffer that nothing reads any more: its write was done, or its connection has closed. */
  give(buffer: Buffer): void
  /** Whether somebody waits for memory. */
  readonly isSpent: boolean
  /** Bytes that exist now, taken or idle. */
  readonly bytes: number
  /** Bytes that somebody has taken and not given back. */
  readonly takenBytes: number
}

/** Bytes: 2048 slow readers fit in 32 MiB; for a fast one a system call per 256 KiB costs next to nothing beside the copy. */
export const bufferSizes: readonly number[] = [16, 32, 64, 128, 256].map((kib) => kib * 1024)
const levels = bufferSizes.length
const largest = bufferSizes[levels - 1] as number

/** A quarter stays allocated between downloads. */
const idleShare = 4

/** Memory that is one buffer, or two halves of its size. */
interface Chunk {
  readonly buffer: Buffer
  readonly level: number
  readonly parent: Chunk | undefined
  halves: readonly [Chunk, Chunk] | undefined
}

/**
 * Makes an empty pool. Memory comes in pieces of the largest size, which are halved for smaller buffers and put together again (a buddy allocator): when
 * readers change their pace, the same memory serves, and nothing waits for the collector to be let go.
 */
export function createBufferPool(limitBytes: number): BufferPool {
  // At least one piece, or nothing could ever be sent.
  const limit = Math.max(limitBytes, largest)
  const free: readonly Set<Chunk>[] = bufferSizes.map(() => new Set())
  const whole = free[levels - 1] as Set<Chunk>
  const taken = new Map<Buffer, Chunk>()
  const waiting: ((buffer: Buffer) => void)[] = []
  let bytes = 0
  let takenBytes = 0

  function obtain(level: number): Chunk | undefined {
    // The smallest that is large enough, so that large ones stay whole.
    for (let from = level; from < levels; from++) {
      const [chunk] = free[from] as Set<Chunk>
      if (chunk === undefined) continue
      free[from]?.delete(chunk)
      return halved(chunk, level)
    }
    if (bytes + largest > limit) return undefined
    bytes += largest
    return halved({ buffer: Buffer.allocUnsafeSlow(largest), level: levels - 1, parent: undefined, halves: undefined }, level)
  }

  function halved(chunk: Chunk, level: number): Chunk {
    let part = chunk
    while (part.level > level) {
      part.halves ??= [half(part, 0), half(part, 1)]
      const [first, second] = part.halves
      free[second.level]?.add(second)
      part = first
    }
    return part
  }

  function release(chunk: Chunk): void {
    let part = chunk
    for (let { parent } = part; parent?.halves !== undefined; { parent } = part) {
      const [first, second] = parent.halves
      if (free[part.level]?.delete(part === first ? second : first) !== true) break
      part = parent
    }
    free[part.level]?.add(part)
    if (takenBytes > 0) return
    for (const idle of whole) {
      if (bytes <= limit / idleShare) return
      whole.delete(idle)
      bytes -= largest
    }
  }

  return {
    get isSpent() {
      return waiting.length > 0
    },
    get bytes() {
      return bytes
    },
    get takenBytes() {
      return takenBytes
    },
    async take(wanted) {
      const fits = bufferSizes.findIndex((each) => each >= wanted)
      for (let level = fits < 0 ? levels - 1 : fits; level >= 0 && waiting.length === 0; level--) {
        const chunk = obtain(level)
        if (chunk === undefined) continue
        taken.set(chunk.buffer, chunk)
        takenBytes += chunk.buffer.length
        return chunk.buffer
      }
      return new Promise<Buffer>((resolve) => waiting.push(resolve))
    },
    give(buffer) {
      const chunk = taken.get(buffer)
      if (chunk === undefined) throw new TypeError('expected a buffer that was taken from this pool and not given back, found another')
      const next = waiting.shift()
      if (next !== undefined) return next(buffer)
      taken.delete(buffer)
      takenBytes -= buffer.length
      release(chunk)
    },
  }
}

function half(parent: Chunk, index: 0 | 1): Chunk {
  const level = parent.level - 1
  const size = bufferSizes[level] as number
  return { buffer: parent.buffer.subarray(index * size, (index + 1) * size), level, parent, halves: undefined }
}
