import { coreError } from '@reflash/core'

/** One end of a stream of bytes between two programs in memory. */
export interface ByteChannel {
  send(bytes: Uint8Array): void
  close(): void
  /** Bytes as they come, in pieces of any size; called later, never at once. */
  onBytes: (bytes: Uint8Array) => void
  onEnd: () => void
}

/** Where servers in memory listen. */
export interface Harbour {
  /** @throws where the address is taken */
  listen(accept: (channel: ByteChannel) => void): { readonly address: string; close(): void }
  /** @throws `DEVICE_SILENT` where nobody listens */
  dial(address: string): ByteChannel
}

export function harbour(): Harbour {
  const listening = new Map<string, (channel: ByteChannel) => void>()
  let count = 0
  return {
    listen(accept) {
      const address = `memory://server-${++count}`
      listening.set(address, accept)
      return { address, close: () => void listening.delete(address) }
    },
    dial(address) {
      const accept = listening.get(address)
      if (accept === undefined) throw coreError('DEVICE_SILENT', `expected a server at ${address}, found none`)
      const [near, far] = channelPair()
      accept(far)
      return near
    },
  }
}

function channelPair(): readonly [ByteChannel, ByteChannel] {
  let isOpen = true
  const close = (): void => {
    if (!isOpen) return
    isOpen = false
    // Behind what was sent before.
    setImmediate(() => {
      near.onEnd()
      far.onEnd()
    })
  }
  const make = (other: () => ByteChannel): ByteChannel => ({
    send: (bytes) => {
      if (isOpen) setImmediate(() => other().onBytes(bytes))
    },
    close,
    onBytes: () => undefined,
    onEnd: () => undefined,
  })
  const near: ByteChannel = make(() => far)
  const far: ByteChannel = make(() => near)
  return [near, far]
}
