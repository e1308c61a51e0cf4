import { concat } from '@reflash/core'

/** Puts a length of four bytes, big-endian, before some bytes. */
export function packet(bytes: Uint8Array): Uint8Array {
  const head = new Uint8Array(4)
  new DataView(head.buffer).setUint32(0, bytes.length)
  return concat([head, bytes])
}

export function jsonPacket(value: unknown): Uint8Array {
  return packet(new TextEncoder().encode(JSON.stringify(value)))
}

/** Takes a stream of bytes apart again; undefined where a packet is larger than the limit. */
export function packetReader(limitBytes: number): (bytes: Uint8Array) => readonly Uint8Array[] | undefined {
  let held = new Uint8Array()
  return (bytes) => {
    held = concat([held, bytes]) as Uint8Array<ArrayBuffer>
    const found: Uint8Array[] = []
    while (held.length >= 4) {
      const size = new DataView(held.buffer, held.byteOffset).getUint32(0)
      if (size > limitBytes) return undefined
      if (held.length < 4 + size) break
      found.push(held.slice(4, 4 + size))
      held = held.slice(4 + size)
    }
    return found
  }
}
