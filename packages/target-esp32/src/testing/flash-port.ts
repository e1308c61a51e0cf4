import { type FlashPort, type RunContext, throwIfAborted } from '@reflash/core'
import type { NorFlash } from './nor-flash.ts'
import type { VirtualEsp32 } from './virtual-esp32.ts'

/**
 * Makes the `flash` port of a virtual chip, as a cable to its ROM offers it; `reset` starts the chip. Another flash over the same bytes, such as
 * one whose power is cut, can stand in for its own.
 */
export function flashPort(device: VirtualEsp32, flash: NorFlash = device.flash): FlashPort {
  return {
    deviceId: device.id,
    async read(offset: number, length: number, { signal }: RunContext) {
      throwIfAborted(signal)
      return flash.read(offset, length)
    },
    async erase(offset: number, length: number, { signal }: RunContext) {
      throwIfAborted(signal)
      flash.erase(offset, length)
    },
    async write(offset: number, bytes: Uint8Array, { signal }: RunContext) {
      throwIfAborted(signal)
      flash.write(offset, bytes)
    },
    async reset({ signal }: RunContext) {
      throwIfAborted(signal)
      device.boot()
    },
    async [Symbol.asyncDispose]() {},
  }
}
