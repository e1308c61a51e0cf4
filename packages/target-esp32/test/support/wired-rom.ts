import type { FlashDevice, WireFault } from '@reflash/core/conformance'
import type { OpenLine, SerialTransportOptions } from '../../src/index.ts'
import type { LineListener } from '../../src/serial/serial-line.ts'
import { memoryFlash, type VirtualRom, type VirtualRomOptions, virtualEsp32, virtualRom } from '../../src/testing/index.ts'

/** What happens to bytes on their way, each way. */
export interface Spoiler {
  toChip?(bytes: Uint8Array): readonly Uint8Array[]
  fromChip?(bytes: Uint8Array): readonly Uint8Array[]
  /** Milliseconds that each piece takes. */
  readonly delayMs?: number
}

/** A virtual ROM at the end of a line in memory, on which anything can happen. */
export interface WiredRom {
  readonly rom: VirtualRom
  spoiler: Spoiler
  isCut: boolean
  /** Ends the line for whoever has it open. */
  hangUp(): void
  readonly open: OpenLine
}

export function wiredRom(
  options: VirtualRomOptions & { readonly chip?: 'esp32' | 'esp32s3'; readonly flashBytes?: number } = {},
): WiredRom {
  const { chip = 'esp32s3', flashBytes = 0x40_0000 } = options
  const rom = virtualRom(
    virtualEsp32({ chip, flash: memoryFlash(flashBytes), ...(flashBytes < 0x40_0000 ? { partitions: [] } : {}) }),
    options,
  )
  let over: (() => void) | undefined
  const wired: WiredRom = {
    rom,
    spoiler: {},
    isCut: false,
    hangUp: () => over?.(),
    async open(_path, { signal }) {
      signal.throwIfAborted()
      if (wired.isCut) throw new Error('cut')
      let listener: LineListener | undefined
      let isOpen = true
      const end = (): void => {
        if (isOpen) listener?.ended()
        isOpen = false
      }
      over = end
      const later = queue()
      const receive = rom.attach((bytes) => {
        const { spoiler } = wired
        for (const piece of spoiler.fromChip?.(bytes) ?? [bytes]) later(spoiler.delayMs, () => isOpen && listener?.bytes(piece))
      })
      const inward = queue()
      return {
        listen(to) {
          listener = to
        },
        async write(bytes) {
          if (!isOpen) throw new Error('the line has ended')
          const { spoiler } = wired
          for (const piece of spoiler.toChip?.(bytes) ?? [bytes]) inward(spoiler.delayMs, () => receive(piece))
        },
        async close() {
          isOpen = false
        },
      }
    },
  }
  return wired
}

/** A line in memory to a ROM, on which nothing happens. */
export function lineTo(rom: VirtualRom): OpenLine {
  return async () => {
    let listener: LineListener | undefined
    const receive = rom.attach((bytes) => listener?.bytes(bytes))
    return {
      listen(to) {
        listener = to
      },
      write: (bytes) => receive(bytes),
      async close() {
        listener = undefined
      },
    }
  }
}

/** Does one thing after another, each a while after it came. */
function queue(): (delayMs: number | undefined, work: () => unknown) => void {
  let tail: Promise<unknown> = Promise.resolve()
  return (delayMs, work) => {
    tail = tail.then(async () => {
      if (delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, delayMs))
      await work()
    })
  }
}

/** One bit, or the end, of the next piece each way. */
function once(change: (bytes: Uint8Array) => Uint8Array): Spoiler {
  const spoil = () => {
    let isDone = false
    return (bytes: Uint8Array): readonly Uint8Array[] => {
      const changed = isDone ? bytes : change(bytes)
      isDone = true
      return [changed]
    }
  }
  return { toChip: spoil(), fromChip: spoil() }
}

const spoilers: Readonly<Record<WireFault, () => Spoiler>> = {
  deaf: () => ({ toChip: () => [] }),
  mute: () => ({ fromChip: () => [] }),
  slow: () => ({ delayMs: 2 }),
  flip: () => once((bytes) => bytes.map((byte, index) => (index === bytes.length >> 1 ? byte ^ 4 : byte))),
  truncate: () => once((bytes) => bytes.subarray(0, bytes.length >> 1)),
  duplicate: () => ({}),
  stale: () => ({}),
}

/** The times of a chip that answers at once, so that absence shows soon. */
export const quickTimes: SerialTransportOptions['times'] = { answerMs: 150, syncMs: 30, eraseMsPerMiB: 1000, md5MsPerMiB: 1000 }

/** The same, as the suite of transports wants it: a line has no messages, so that none of them can come twice. */
export function suiteDevice(id: string, wired: WiredRom): FlashDevice {
  const { flash } = wired.rom.device
  return {
    device: { id },
    blockBytes: 0x1000,
    content: async () => flash.read(0, flash.sizeBytes),
    resets: async () => wired.rom.resets,
    wire: {
      faults: ['deaf', 'mute', 'slow', 'flip', 'truncate'],
      async cut() {
        wired.isCut = true
        wired.hangUp()
      },
      async spoil(fault) {
        wired.spoiler = spoilers[fault]()
      },
      async mend() {
        wired.isCut = false
        wired.spoiler = {}
      },
    },
  }
}
