import { fail } from '../esp32-errors.ts'

/**
 * Flash with NOR semantics: erased bytes are 0xFF, erasing works on sectors of 4 KiB, writing only clears bits. A write that would set a bit
 * stores the AND of old and new, as the chip does, and is counted. Operations are synchronous: they stall a real chip, too.
 */
export interface NorFlash {
  readonly sizeBytes: number
  /** Writes that would have needed a bit to go from 0 to 1. */
  readonly misuses: number
  /** @throws `VIRTUAL_FLASH` outside the flash */
  read(offset: number, length: number): Uint8Array
  /** @throws `VIRTUAL_FLASH` outside the flash or off sector boundaries */
  erase(offset: number, length: number): void
  /** @throws `VIRTUAL_FLASH` outside the flash */
  write(offset: number, bytes: Uint8Array): void
  close(): void
}

/** Where the bytes of a virtual flash are kept. */
export interface FlashMedium {
  get(offset: number, length: number): Uint8Array
  put(offset: number, bytes: Uint8Array): void
  blank(offset: number, length: number): void
  close(): void
}

/** Erase sector of every SPI flash that an ESP32 boots from, bytes. */
const sector = 0x1000
/** 128 MiB: the most that an image header can name. */
const largest = 128 * 1024 * 1024

/** @throws `VIRTUAL_FLASH` where the size is not whole sectors up to 128 MiB */
export function expectFlashSize(sizeBytes: number): void {
  if (Number.isInteger(sizeBytes) && sizeBytes >= sector && sizeBytes <= largest && sizeBytes % sector === 0) return
  throw fail('VIRTUAL_FLASH', `flash size: expected whole sectors of ${sector} bytes up to ${largest}, found ${sizeBytes}`)
}

/** Makes flash over a medium of this size. */
export function norFlashOver(medium: FlashMedium, sizeBytes: number): NorFlash {
  let misuses = 0
  const expectInside = (what: string, offset: number, length: number): void => {
    if (Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length >= 0 && offset + length <= sizeBytes) return
    throw fail('VIRTUAL_FLASH', `${what}: expected a range within ${sizeBytes} bytes, found ${length} bytes at ${offset}`)
  }
  return Object.freeze<NorFlash>({
    sizeBytes,
    get misuses() {
      return misuses
    },
    read(offset, length) {
      expectInside('read', offset, length)
      return medium.get(offset, length)
    },
    erase(offset, length) {
      expectInside('erase', offset, length)
      if (offset % sector !== 0 || length % sector !== 0) {
        throw fail('VIRTUAL_FLASH', `erase: expected whole sectors of ${sector} bytes, found ${length} bytes at ${offset}`)
      }
      medium.blank(offset, length)
    },
    write(offset, bytes) {
      expectInside('write', offset, bytes.length)
      const stored = medium.get(offset, bytes.length)
      let sets = false
      const result = stored.map((old, index) => {
        const wanted = bytes[index] as number
        sets ||= (old & wanted) !== wanted
        return old & wanted
      })
      if (sets) misuses++
      medium.put(offset, result)
    },
    close: () => medium.close(),
  })
}

/** Makes an erased flash in memory, of which only sectors that were written take any; 4 MiB where no size is given. @throws `VIRTUAL_FLASH` */
export function memoryFlash(sizeBytes: number = 4 * 1024 * 1024): NorFlash {
  expectFlashSize(sizeBytes)
  const sectors = new Map<number, Uint8Array>()
  /** The parts of a range that lie in one sector each: its number, where in it, and where in the range. */
  function* parts(offset: number, length: number): Generator<readonly [index: number, from: number, at: number, length: number]> {
    for (let at = 0; at < length; ) {
      const from = (offset + at) % sector
      const part = Math.min(sector - from, length - at)
      yield [(offset + at - from) / sector, from, at, part]
      at += part
    }
  }
  return norFlashOver(
    {
      get(offset, length) {
        const bytes = new Uint8Array(length).fill(0xff)
        for (const [index, from, at, part] of parts(offset, length)) {
          const known = sectors.get(index)
          if (known !== undefined) bytes.set(known.subarray(from, from + part), at)
        }
        return bytes
      },
      put(offset, bytes) {
        for (const [index, from, at, part] of parts(offset, bytes.length)) {
          const known = sectors.get(index) ?? new Uint8Array(sector).fill(0xff)
          sectors.set(index, known)
          known.set(bytes.subarray(at, at + part), from)
        }
      },
      blank(offset, length) {
        for (const [index] of parts(offset, length)) sectors.delete(index)
      },
      close: () => {},
    },
    sizeBytes,
  )
}
