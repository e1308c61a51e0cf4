import { type FlashPort, type RunContext, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { flashSectorBytes } from '../flash/flash-sector.ts'
import type { ChipName } from '../image/chips.ts'
import type { RomFlash } from './rom-flash.ts'

/** The `flash` port of a chip in its ROM loader. */
export interface SerialFlashPort extends FlashPort {
  /** The chip that is at the other end. */
  readonly chip: ChipName
  readonly flashBytes: number
  /** What the chip says of secure boot; undefined where its ROM cannot say. */
  readonly secureBoot: 'none' | 'v2' | undefined
  /** How often work had to be done again, because an answer did not come or flash was not as it should be. */
  readonly retries: number
  md5(offset: number, length: number, context: RunContext): Promise<Uint8Array>
}

/** What a port needs beside flash. */
export interface PortParts {
  readonly deviceId: string
  readonly chip: ChipName
  readonly flashBytes: number
  readonly secureBoot: 'none' | 'v2' | undefined
  readonly flash: RomFlash
  reset(signal: AbortSignal): Promise<void>
  /** @throws where the connection has ended */
  expectOpen(): void
  end(): Promise<void>
}

export function serialFlashPort({ flash, reset, expectOpen, end, ...facts }: PortParts): SerialFlashPort {
  const expectRange = (what: string, offset: number, length: number, unit = 1): void => {
    const fits = [offset, length].every((value) => Number.isSafeInteger(value) && value >= 0 && value % unit === 0)
    if (fits && offset + length <= facts.flashBytes) return
    const whole = unit === 1 ? 'bytes' : `whole sectors of ${unit} bytes`
    throw fail('FLASH_RANGE', `${what}: expected ${whole} within ${facts.flashBytes}, found ${length} at ${offset}`)
  }
  const begin = ({ signal }: RunContext): AbortSignal => {
    throwIfAborted(signal)
    expectOpen()
    return signal
  }
  return Object.freeze<SerialFlashPort>({
    ...facts,
    get retries() {
      return flash.retries
    },
    async read(offset: number, length: number, context: RunContext) {
      const signal = begin(context)
      expectRange('read', offset, length)
      return await flash.read(offset, length, signal)
    },
    async erase(offset: number, length: number, context: RunContext) {
      const signal = begin(context)
      expectRange('erase', offset, length, flashSectorBytes)
      await flash.erase(offset, length, signal)
    },
    async write(offset: number, bytes: Uint8Array, context: RunContext) {
      const signal = begin(context)
      expectRange('write', offset, bytes.length)
      await flash.write(offset, bytes.slice(), signal)
    },
    async md5(offset: number, length: number, context: RunContext) {
      const signal = begin(context)
      expectRange('md5', offset, length)
      return await flash.md5(offset, length, signal)
    },
    async reset(context: RunContext) {
      await reset(begin(context))
    },
    [Symbol.asyncDispose]: end,
  })
}
