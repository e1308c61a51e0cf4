import type { Wire, WireFault } from '@reflash/core/conformance'

/** One end of a channel; messages come later, never at once. */
export interface ChannelEnd {
  send(message: Uint8Array): void
  close(): void
  onMessage: (message: Uint8Array) => void
  /** The other end has closed, or the line is cut. */
  onEnd: () => void
}

/** A line that carries messages and can be spoiled. */
export interface MemoryWire extends Wire {
  /** Opens a channel; undefined where the line is cut. */
  open(): ChannelEnd | undefined
  /** How many are open. */
  readonly channels: number
}

type Direction = 'to-device' | 'to-transport'

/** Milliseconds that each message takes on a line that is slow. */
const slowMs = 60

/** Makes a line to a device; the device gets its end of each channel by `accept`. */
export function memoryWire(accept: (end: ChannelEnd) => void): MemoryWire {
  let fault: WireFault | undefined
  let isCut = false
  const open = new Set<() => void>()
  const last: Partial<Record<Direction, () => void>> = {}
  const damaged = new Set<Direction>()

  function travel(direction: Direction, message: Uint8Array, deliver: (message: Uint8Array) => void): void {
    const copy = message.slice()
    const arrive = (bytes = copy): void => void setImmediate(() => deliver(bytes))
    if (fault === 'deaf' && direction === 'to-device') return
    if (fault === 'mute' && direction === 'to-transport') return
    if (fault === 'slow') return void setTimeout(() => deliver(copy), slowMs)
    if ((fault === 'flip' || fault === 'truncate') && !damaged.has(direction)) {
      const isFlip = fault === 'flip'
      damaged.add(direction)
      const at = copy.length >> 1
      if (isFlip) copy[at] = (copy[at] as number) ^ 0x10
      arrive(isFlip ? copy : copy.subarray(0, at))
      return
    }
    arrive()
    if (fault === 'duplicate') arrive()
    if (fault === 'stale') last[direction]?.()
    last[direction] = arrive
  }

  return {
    faults: ['deaf', 'mute', 'slow', 'duplicate', 'stale', 'flip', 'truncate'],
    async cut() {
      isCut = true
      for (const end of [...open]) end()
    },
    async spoil(next) {
      fault = next
      damaged.clear()
    },
    async mend() {
      fault = undefined
      isCut = false
    },
    get channels() {
      return open.size
    },
    open() {
      if (isCut) return undefined
      let isOpen = true
      const end = (): void => {
        if (!isOpen) return
        isOpen = false
        open.delete(end)
        near.onEnd()
        far.onEnd()
      }
      const make = (direction: Direction, other: () => ChannelEnd): ChannelEnd => ({
        send: (message) => {
          if (isOpen) travel(direction, message, (bytes) => isOpen && other().onMessage(bytes))
        },
        close: end,
        onMessage: () => undefined,
        onEnd: () => undefined,
      })
      const near: ChannelEnd = make('to-device', () => far)
      const far: ChannelEnd = make('to-transport', () => near)
      open.add(end)
      accept(far)
      return near
    },
  }
}
