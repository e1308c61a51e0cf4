import { type FlashPort, type RunContext, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'

/** The region that may be erased and written. */
export interface WritableRegion {
  readonly label: string
  readonly offset: number
  readonly sizeBytes: number
}

/** What a driver does to flash, once it is said where it may. */
export interface FlashWriter {
  erase(offset: number, length: number): Promise<void>
  write(offset: number, bytes: Uint8Array): Promise<void>
}

/** A writer that refuses every operation outside its region: whatever the plan or the code above says, bootloader, table and running slot stay. */
export function writerWithin(port: FlashPort, region: WritableRegion, context: RunContext): FlashWriter {
  const guard = (offset: number, length: number): void => {
    const inside = offset >= region.offset && length >= 0 && offset + length <= region.offset + region.sizeBytes
    if (inside) return
    const expected = `${region.label}, ${region.sizeBytes} bytes at ${region.offset}`
    throw fail('FLASH_PROTECTED', `expected to write within ${expected}, found ${length} bytes at ${offset}`)
  }
  return {
    async erase(offset, length) {
      guard(offset, length)
      await port.erase(offset, length, context)
    },
    async write(offset, bytes) {
      guard(offset, bytes.length)
      await port.write(offset, bytes, context)
    },
  }
}

/**
 * Reads exactly `length` bytes.
 * @throws `FLASH_READ_SHORT`, `ABORTED`
 */
export async function readExactly(port: FlashPort, offset: number, length: number, context: RunContext): Promise<Uint8Array> {
  throwIfAborted(context.signal)
  const bytes = await port.read(offset, length, context)
  if (bytes.length !== length) throw fail('FLASH_READ_SHORT', `flash at ${offset}: expected ${length} bytes, found ${bytes.length}`)
  return bytes
}
