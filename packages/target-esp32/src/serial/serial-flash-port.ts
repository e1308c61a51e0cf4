import { type FlashPort, type RunContext, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { flashSectorBytes } from '../flash/flash-sector.ts'
import type { ChipName } from '../image/chips.ts'
import type { SerialSession } from './serial-session.ts'

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
  readonly session: SerialSession
  /** Fires at the end of the connection, with the error that stands for it. */
  readonly ended: AbortSignal
  end(): Promise<void>
}

export function serialFlashPort({ session, ended, end, ...facts }: PortParts): SerialFlashPort {
  const expectRange = (what: string, offset: number, length: number, unit = 1): void => {
    const fits = [offset, length].every((value) => Number.isSafeInteger(value) && value >= 0 && value % unit === 0)
    if (fits && offset + length <= facts.flashBytes) return
    const whole = unit === 1 ? 'bytes' : `whole sectors of ${unit} bytes`
    throw fail('FLASH_RANGE', `${what}: expected ${whole} within ${facts.flashBytes}, found ${length} at ${offset}`)
  }
  /** Does work for as long as its caller and the connection are there. */
  const during = async <T>({ signal }: RunContext, work: (either: AbortSignal) => Promise<T>): Promise<T> => {
    throwIfAborted(signal)
    if (ended.aborted) throw ended.reason
    try {
      return await work(AbortSignal.any([signal, ended]))
    } catch (error) {
      if (ended.aborted && !signal.aborted) throw ended.reason
      throw error
    }
  }
  return Object.freeze<SerialFlashPort>({
    ...facts,
    get retries() {
      return session.retries
    },
    async read(offset: number, length: number, context: RunContext) {
      throwIfAborted(context.signal)
      expectRange('read', offset, length)
      return await during(context, (signal) => session.flash((flash) => flash.read(offset, length, signal), signal))
    },
    async erase(offset: number, length: number, context: RunContext) {
      throwIfAborted(context.signal)
      expectRange('erase', offset, length, flashSectorBytes)
      return await during(context, (signal) => session.flash((flash) => flash.erase(offset, length, signal), signal))
    },
    async write(offset: number, bytes: Uint8Array, context: RunContext) {
      throwIfAborted(context.signal)
      expectRange('write', offset, bytes.length)
      const copy = bytes.slice()
      await during(context, (signal) => session.flash((flash) => flash.write(offset, copy, signal), signal))
    },
    async md5(offset: number, length: number, context: RunContext) {
      throwIfAborted(context.signal)
      expectRange('md5', offset, length)
      return await during(context, (signal) => session.flash((flash) => flash.md5(offset, length, signal), signal))
    },
    async reset(context: RunContext) {
      await during(context, (signal) => session.restart(signal))
    },
    [Symbol.asyncDispose]: end,
  })
}
