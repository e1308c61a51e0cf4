/** Buffers between files and sockets, shared by all answers of one server and bounded together. */
export interface BufferPool {
  /** A buffer of about `bytes`; where the memory is spent, the next that comes free, in order of asking, which may be smaller. */
  take(bytes: number): Promise<Buffer>
  /** Returns a buffer that nothing reads any more. */
  give(buffer: Buffer): void
  /** Gives up a buffer that a broken connection may still read: it is counted out and left to the collector. */
  drop(buffer: Buffer): void
  /** Whether somebody waits for memory. */
  readonly isSpent: boolean
  /** Bytes that exist now, taken or idle. */
  readonly bytes: number
  /** Bytes that somebody has taken and not given back. */
  readonly takenBytes: number
}

/** Bytes: 2048 slow readers fit in 32 MiB; for a fast one a system call per 256 KiB costs next to nothing beside the copy. */
export const bufferSizes: readonly number[] = [16, 32, 64, 128, 256].map((kib) => kib * 1024)
const largest = bufferSizes.at(-1) as number

/** A quarter stays allocated between downloads. */
const idleShare = 4

export function createBufferPool(limitBytes: number): BufferPool {
  // At least one buffer of each size, or nothing could ever be sent.
  const limit = Math.max(limitBytes, largest)
  const idle = new Map<number, Buffer[]>(bufferSizes.map((size) => [size, []]))
  const waiting: ((buffer: Buffer) => void)[] = []
  let bytes = 0
  let takenBytes = 0

  function allocate(size: number): Buffer | undefined {
    for (const [idleSize, buffers] of idle) {
      while (bytes + size > limit && idleSize !== size && buffers.pop() !== undefined) bytes -= idleSize
    }
    if (bytes + size > limit) return undefined
    bytes += size
    return Buffer.allocUnsafeSlow(size)
  }

  function taken(buffer: Buffer): Buffer {
    takenBytes += buffer.length
    return buffer
  }

  function obtain(size: number): Buffer | undefined {
    return idle.get(size)?.pop() ?? allocate(size)
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
      const size = bufferSizes.find((each) => each >= wanted) ?? largest
      const buffer = waiting.length === 0 ? (obtain(size) ?? obtain(bufferSizes[0] as number)) : undefined
      if (buffer !== undefined) return taken(buffer)
      return taken(await new Promise<Buffer>((resolve) => waiting.push(resolve)))
    },
    give(buffer) {
      takenBytes -= buffer.length
      const next = waiting.shift()
      if (next !== undefined) return next(buffer)
      const buffers = idle.get(buffer.length)
      if (buffers === undefined || bytes - takenBytes > limit / idleShare) bytes -= buffer.length
      else buffers.push(buffer)
    },
    drop(buffer) {
      takenBytes -= buffer.length
      bytes -= buffer.length
      const next = waiting.shift()
      if (next !== undefined) next(obtain(buffer.length) as Buffer)
    },
  }
}
