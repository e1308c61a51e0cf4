import type { NorFlash } from './nor-flash.ts'

/** What an operation throws when the power goes. */
export class PowerCut extends Error {
  override readonly name = 'PowerCut'
}

export interface PowerCutOptions {
  /** The erase or write, counted from 0, at which the power goes. */
  readonly atOperation: number
  /** Bytes of that operation that are still done: a prefix; 0 where absent. */
  readonly keepBytes?: number
}

/** The same flash, whose power goes at one operation: a prefix of it is done, then everything throws `PowerCut`. */
export function cutPower(flash: NorFlash, { atOperation, keepBytes = 0 }: PowerCutOptions): NorFlash & { readonly operations: number } {
  let operations = 0
  let off = false
  const operate = (length: number, whole: () => void, prefix: (bytes: number) => void): void => {
    if (off) throw new PowerCut('the power is off')
    if (operations++ !== atOperation) {
      whole()
      return
    }
    off = true
    prefix(Math.min(keepBytes, length))
    throw new PowerCut(`the power went at operation ${atOperation}`)
  }
  return Object.freeze({
    sizeBytes: flash.sizeBytes,
    get misuses() {
      return flash.misuses
    },
    get operations() {
      return operations
    },
    read(offset: number, length: number) {
      if (off) throw new PowerCut('the power is off')
      return flash.read(offset, length)
    },
    erase(offset: number, length: number) {
      operate(
        length,
        () => flash.erase(offset, length),
        (bytes) => flash.erase(offset, bytes - (bytes % 0x1000)),
      )
    },
    write(offset: number, bytes: Uint8Array) {
      operate(
        bytes.length,
        () => flash.write(offset, bytes),
        (kept) => flash.write(offset, bytes.subarray(0, kept)),
      )
    },
    close: () => flash.close(),
  })
}
