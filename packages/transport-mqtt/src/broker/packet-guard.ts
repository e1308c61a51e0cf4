import type { Socket } from 'node:net'

/** Bytes of the length in a fixed header at most (MQTT 3.1.1, 2.2.3). */
const lengthBytesLimit = 4

/** Looks at packets as they pass; false from the first on that says it is longer than the limit. */
export function packetGuard(limitBytes: number): (chunk: Uint8Array) => boolean {
  /** Bytes of the present packet that are to come. */
  let left = 0
  /** Within a fixed header: bytes of it that came, and the length so far. */
  let headBytes = 0
  let length = 0
  return (chunk) => {
    for (let at = 0; at < chunk.length; ) {
      if (left > 0) {
        const step = Math.min(left, chunk.length - at)
        left -= step
        at += step
        continue
      }
      const byte = chunk[at] as number
      at += 1
      if (headBytes === 0) {
        headBytes = 1
        length = 0
        continue
      }
      length += (byte & 0x7f) * 128 ** (headBytes - 1)
      if (length > limitBytes || headBytes > lengthBytesLimit) return false
      if (byte >= 0x80) headBytes += 1
      else {
        left = length
        headBytes = 0
      }
    }
    return true
  }
}

/** Ends a connection at a packet that is too long, before its bytes are in memory: the broker would wait for 256 MiB of anybody who can connect. */
export function guardPackets(socket: Socket, limitBytes: number): void {
  const isAllowed = packetGuard(limitBytes)
  const read = socket.read.bind(socket)
  // The broker reads by itself, and only so.
  socket.read = (size?: number) => {
    const chunk = read(size) as Uint8Array | null
    if (chunk === null || isAllowed(chunk)) return chunk
    socket.destroy()
    return null
  }
}
