import type { Socket } from 'node:net'

/**
 * Bytes that wait for one device. Two parts of an image as its client asks for them, and half as much for its answers: who reads is sent all of it.
 */
const deviceLimitBytes = 768 * 1024
/** Bytes that wait for the server of this process: as many messages of 16 KiB as it takes. */
const serverLimitBytes = 16 * 1024 * 1024
/** Bytes that wait for all who do not keep up. */
const totalLimitBytes = 64 * 1024 * 1024
/** Time within which a device that is sent something takes a byte of it: rides out a change of the radio cell. */
const stallMs = 30_000

/** What is asked of a client of the broker: `done` when more may be written. */
interface Waiting {
  waitForDrain(done: (error: Error | null, client: unknown) => void): void
}

/** Sees to it that nobody waits for a device that does not read. */
export interface SlowReaders {
  /** Lets the broker go on where the socket of a client is full. */
  watch(client: object, socket: Socket): void
  /** Whether a message to it finds room; what does not is asked for again. */
  hasRoom(socket: Socket, isServer: boolean): boolean
}

/**
 * By itself the broker waits for a full socket, and handles nothing else from the client whose message that was: the server's. One device that
 * asks for images and reads none of them would stop the updates of all. Here what is full is passed over, and cut when it takes nothing.
 */
export function slowReaders(): SlowReaders {
  const behind = new Set<Socket>()

  function follow(socket: Socket): void {
    if (behind.has(socket) || socket.destroyed) return
    behind.add(socket)
    let before = progressOf(socket)
    const timer = setInterval(() => {
      const now = progressOf(socket)
      if (now.written === before.written && now.queued === before.queued) socket.destroy()
      before = now
    }, stallMs)
    timer.unref()
    const end = (): void => {
      clearInterval(timer)
      behind.delete(socket)
      socket.off('drain', end)
      socket.off('close', end)
    }
    socket.on('drain', end)
    socket.on('close', end)
  }

  function waiting(): number {
    let sum = 0
    for (const { writableLength } of behind) sum += writableLength
    return sum
  }

  return {
    watch(client, socket) {
      const flowing = client as Waiting
      flowing.waitForDrain = (done) => {
        follow(socket)
        setImmediate(done, null, client)
      }
    },
    hasRoom(socket, isServer) {
      const { writableLength } = socket
      if (isServer) return writableLength < serverLimitBytes
      if (writableLength >= deviceLimitBytes) return false
      return writableLength === 0 || waiting() < totalLimitBytes
    },
  }
}

/** Bytes of writes that were done, and those of the one under way that the kernel has not taken: all that waits for a slow device is one write. */
function progressOf(socket: Socket): { readonly written: number; readonly queued: number } {
  const { bytesWritten, writableLength } = socket
  const { _handle: handle } = socket as { readonly _handle?: { readonly writeQueueSize?: number } | null }
  return { written: bytesWritten - writableLength, queued: handle?.writeQueueSize ?? 0 }
}
