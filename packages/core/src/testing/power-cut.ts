import type { RunContext } from '../plugin/plugin.ts'
import type { FlashPort } from '../plugin/ports.ts'
import { type Cut, type FlashOperation, tornContent } from './torn-flash.ts'

/** What every operation throws from the moment the power goes. Deliberately no `OtaError`: no code expects it, as none expects a power cut. */
export class PowerCut extends Error {
  override readonly name = 'PowerCut'
}

/** Flash in memory or in a file, whose operations are synchronous: what a boot model works on. Offsets and lengths in bytes. */
export interface SyncFlash {
  read(offset: number, length: number): Uint8Array
  erase(offset: number, length: number): void
  write(offset: number, bytes: Uint8Array): void
}

/** The power of one board: all that is wrapped by it counts together, and goes off together. */
export interface PowerSupply {
  /** Every erase and write so far, the one that was cut included. */
  readonly operations: readonly FlashOperation[]
  readonly isOff: boolean
  /** The same port; without power it neither reads nor resets either. */
  port(port: FlashPort): FlashPort
  /** The same flash, with whatever else it has. */
  flash<F extends SyncFlash>(flash: F): F
}

/**
 * Makes the power of one board, which goes at `cut`, or never. It needs nothing of a flash but to read, erase and write, and leaves behind what NOR
 * flash may hold after a cut.
 */
export function powerSupply(cut?: Cut): PowerSupply {
  const operations: FlashOperation[] = []
  let isOff = false
  const expectPower = (): void => {
    if (isOff) throw new PowerCut('the power is off')
  }
  /** The cut, where this is its operation. */
  const next = (operation: FlashOperation): Cut | undefined => {
    expectPower()
    operations.push(operation)
    if (cut?.operation !== operations.length - 1) return undefined
    isOff = true
    return cut
  }
  return Object.freeze<PowerSupply>({
    operations,
    get isOff() {
      return isOff
    },
    port: (port) => suppliedPort(port, expectPower, next),
    flash: (flash) => suppliedFlash(flash, expectPower, next),
  })
}

type Next = (operation: FlashOperation) => Cut | undefined

function gone({ operation, mode }: Cut): PowerCut {
  return new PowerCut(`the power went at operation ${operation} (${mode})`)
}

function erased(length: number): Uint8Array {
  return new Uint8Array(length).fill(0xff)
}

function written(old: Uint8Array, bytes: Uint8Array): Uint8Array {
  return old.map((byte, index) => byte & (bytes[index] as number))
}

function suppliedPort(port: FlashPort, expectPower: () => void, next: Next): FlashPort {
  const { md5 } = port
  return {
    deviceId: port.deviceId,
    async read(offset: number, length: number, context: RunContext) {
      expectPower()
      return await port.read(offset, length, context)
    },
    async erase(offset: number, length: number, context: RunContext) {
      const cut = next({ kind: 'erase', offset, length })
      if (cut === undefined) return await port.erase(offset, length, context)
      const old = await port.read(offset, length, context)
      await port.erase(offset, length, context)
      await port.write(offset, tornContent(old, erased(length), cut), context)
      throw gone(cut)
    },
    async write(offset: number, bytes: Uint8Array, context: RunContext) {
      const cut = next({ kind: 'write', offset, length: bytes.length })
      if (cut === undefined) return await port.write(offset, bytes, context)
      const old = await port.read(offset, bytes.length, context)
      await port.write(offset, tornContent(old, written(old, bytes), cut), context)
      throw gone(cut)
    },
    ...(md5 === undefined
      ? {}
      : {
          async md5(offset: number, length: number, context: RunContext) {
            expectPower()
            return await md5.call(port, offset, length, context)
          },
        }),
    async reset(context: RunContext) {
      expectPower()
      await port.reset(context)
    },
    async [Symbol.asyncDispose]() {
      await port[Symbol.asyncDispose]()
    },
  }
}

function suppliedFlash<F extends SyncFlash>(flash: F, expectPower: () => void, next: Next): F {
  const supplied: SyncFlash = {
    read(offset, length) {
      expectPower()
      return flash.read(offset, length)
    },
    erase(offset, length) {
      const cut = next({ kind: 'erase', offset, length })
      if (cut === undefined) return flash.erase(offset, length)
      const old = flash.read(offset, length)
      flash.erase(offset, length)
      flash.write(offset, tornContent(old, erased(length), cut))
      throw gone(cut)
    },
    write(offset, bytes) {
      const cut = next({ kind: 'write', offset, length: bytes.length })
      if (cut === undefined) return flash.write(offset, bytes)
      const old = flash.read(offset, bytes.length)
      flash.write(offset, tornContent(old, written(old, bytes), cut))
      throw gone(cut)
    },
  }
  // A proxy of an empty object, because a frozen flash would not let its methods be replaced.
  return new Proxy({} as F, {
    get: (_, key) => {
      const value: unknown = Reflect.get(key in supplied ? supplied : flash, key)
      return typeof value === 'function' && !(key in supplied) ? value.bind(flash) : value
    },
    has: (_, key) => key in flash,
  })
}
