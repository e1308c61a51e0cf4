import {
  aborted,
  type CallOptions,
  type Connection,
  coreError,
  type Device,
  isOtaError,
  type Transport,
  throwIfAborted,
} from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { chipOfModel } from '../image/chips.ts'
import { detectChip } from './detect-chip.ts'
import { flashSize } from './flash-size.ts'
import { openLine } from './open-line.ts'
import { controlLines, noControlLines, type ResetSequence } from './reset-sequence.ts'
import { type RomConversation, type RomTimes, romConversation, waitFor } from './rom-conversation.ts'
import { romFlash } from './rom-flash.ts'
import { romCommands, words } from './rom-protocol.ts'
import { type SerialFlashPort, serialFlashPort } from './serial-flash-port.ts'
import type { OpenLine, SerialLine } from './serial-line.ts'

export interface SerialTransportOptions {
  /** A port such as `/dev/ttyUSB0` or `COM3`, or `socket://<host>:<port>`; of several devices a function, which gives nothing for one that it does not know. */
  readonly port: string | ((device: Device) => string | undefined)
  /** The speed to change to once the chip has answered; 921,600 where absent. */
  readonly baud?: number
  /** The speed to begin with: 115,200 where absent, which every ROM understands. */
  readonly initialBaud?: number
  /** How chips are brought into their ROM loader and out of it: by the control lines where the line has any, else not at all, where absent. */
  readonly reset?: ResetSequence
  /** Bytes of the flash; where absent, the flash is asked. */
  readonly flashBytes?: number
  readonly times?: Partial<RomTimes>
  /** Opens lines; by the package `serialport` or a socket where absent. */
  readonly open?: OpenLine
}

/** A connection over a serial line. */
export interface SerialConnection extends Connection<'flash'> {
  readonly port: SerialFlashPort
}

/** The transport that `serialTransport` makes. */
export interface SerialTransport extends Transport<'flash'> {
  readonly uses: 'flash'
  connect(device: Device, options?: CallOptions): Promise<SerialConnection>
  close(): Promise<void>
}

const defaults: RomTimes = { answerMs: 3_000, syncMs: 100, eraseMsPerMiB: 40_000, md5MsPerMiB: 8_000 }

/**
 * Makes the transport that reaches ESP32 chips by their ROM loader over a serial line: port `flash`. Whoever holds the other end of the cable is
 * taken for the device; only its chip is looked at.
 * @throws `INVALID_OPTIONS`
 */
export function serialTransport(options: SerialTransportOptions): SerialTransport {
  const settings = settingsOf(options)
  const paths = new Set<string>()
  const connections = new Set<SerialConnection>()
  const ending = new AbortController()
  return Object.freeze<SerialTransport>({
    kind: 'transport',
    name: 'serial',
    spec: 0,
    uses: 'flash',
    opens: 'a serial cable: whatever chip is at its other end is taken for the device',
    async connect(device, { signal } = {}) {
      throwIfAborted(signal)
      if (ending.signal.aborted) throw closed('transport')
      const path = settings.pathOf(device)
      if (path === undefined) throw fail('SERIAL_UNAVAILABLE', `${device.id}: expected a device whose serial port is known, found none`)
      if (paths.has(path)) throw fail('SERIAL_BUSY', `${path}: expected a port that is free, found one that this transport has open`)
      paths.add(path)
      try {
        const either = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal])
        const connection = await connectTo(device, path, settings, either, () => {
          paths.delete(path)
          connections.delete(connection)
        })
        connections.add(connection)
        return connection
      } catch (error) {
        paths.delete(path)
        if (ending.signal.aborted && signal?.aborted !== true) throw closed('transport')
        throw error
      }
    },
    async close() {
      ending.abort()
      await Promise.all([...connections].map((connection) => connection[Symbol.asyncDispose]()))
    },
  })
}

interface Settings {
  readonly baud: number
  readonly initialBaud: number
  readonly reset: ResetSequence | undefined
  readonly flashBytes: number | undefined
  readonly times: RomTimes
  readonly open: OpenLine
  pathOf(device: Device): string | undefined
}

/** What UARTs of these chips are driven at: below, a MiB takes an hour; above, no USB bridge goes. */
const baudLimits = [9_600, 5_000_000] as const

function settingsOf({
  port,
  baud = 921_600,
  initialBaud = 115_200,
  reset,
  flashBytes,
  times,
  open = openLine,
}: SerialTransportOptions): Settings {
  const wrong = (name: string, expected: string, found: unknown): Error =>
    coreError('INVALID_OPTIONS', `${name}: expected ${expected}, found ${String(found)}`)
  if (typeof port !== 'function' && (typeof port !== 'string' || port === '')) throw wrong('port', 'a path or a function', port)
  for (const [name, value] of Object.entries({ baud, initialBaud })) {
    if (!Number.isInteger(value) || value < baudLimits[0] || value > baudLimits[1]) throw wrong(name, `${baudLimits.join(' to ')}`, value)
  }
  if (
    flashBytes !== undefined &&
    (!Number.isInteger(flashBytes) || flashBytes < 0x1000 || flashBytes % 0x1000 !== 0 || flashBytes > 0x800_0000)
  ) {
    throw wrong('flashBytes', 'whole sectors of 4096 bytes up to 128 MiB', flashBytes)
  }
  for (const [name, value] of Object.entries(times ?? {})) {
    if (!Number.isFinite(value) || value < 1 || value > 600_000) throw wrong(`times.${name}`, '1 to 600000 milliseconds', value)
  }
  const pathOf = typeof port === 'string' ? () => port : (device: Device) => port(device)
  return { baud, initialBaud, reset, flashBytes, times: { ...defaults, ...times }, open, pathOf }
}

function closed(what: string): Error {
  return fail('SERIAL_CLOSED', `expected a ${what} that is open, found one that was closed`)
}

async function connectTo(
  device: Device,
  path: string,
  settings: Settings,
  signal: AbortSignal,
  gone: () => void,
): Promise<SerialConnection> {
  const { initialBaud, times, flashBytes: told } = settings
  const line = await settings.open(path, { baud: initialBaud, signal })
  const rom = romConversation(line, path, times)
  const reset = settings.reset ?? (line.setSignals === undefined ? noControlLines : controlLines)
  try {
    await enterRom(rom, line, reset, signal)
    const { chip, security } = await detectChip(rom, signal)
    expectModel(device, chip.name)
    await changeBaud(rom, line, settings, signal)
    // The S3 and later have attached their flash by themselves where it is on the usual pins; it does no harm again.
    await rom.ask({ command: romCommands.attachFlash, data: words(0, 0) }, { signal })
    const flashBytes = told ?? (await flashSize(chip, rom, signal))
    // Without it, the ROM takes the flash for one of 2 MiB.
    await rom.ask({ command: romCommands.setFlashParameters, data: words(0, flashBytes, 0x1_0000, 0x1000, 0x100, 0xffff) }, { signal })
    const end = ender(rom, line, gone)
    const port = serialFlashPort({
      deviceId: device.id,
      chip: chip.name,
      flashBytes,
      secureBoot: security === undefined ? undefined : security.secureBoot ? 'v2' : 'none',
      flash: romFlash(rom, times),
      reset: (caller) => rom.exclusively(caller, () => leaveRom(rom, line, reset, caller)),
      expectOpen: end.expectOpen,
      end: end.end,
    })
    return Object.freeze({
      port,
      principal: Object.freeze({ deviceId: device.id, by: 'anonymous' as const }),
      [Symbol.asyncDispose]: end.end,
    })
  } catch (error) {
    await line.close()
    throw isOtaError(error) || !signal.aborted ? error : aborted(signal)
  }
}

/** The one end of a connection, however often it is asked for. */
function ender(rom: RomConversation, line: SerialLine, gone: () => void) {
  let ended: Promise<void> | undefined
  return {
    expectOpen(): void {
      if (ended !== undefined) throw closed('connection')
    },
    end: (): Promise<void> => {
      ended ??= (async () => {
        rom.end(closed('connection'))
        await line.close()
        gone()
      })()
      return ended
    },
  }
}

/** Times that a chip is reset into its ROM: a board on a hub may miss one. */
const resets = 2

async function enterRom(rom: RomConversation, line: SerialLine, reset: ResetSequence, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await reset.enter(line, (ms) => waitFor(ms, signal))
    } catch (cause) {
      throwIfAborted(signal)
      throw isOtaError(cause)
        ? cause
        : fail('SERIAL_UNAVAILABLE', 'expected control lines that can be set, found an error; pass `reset`', { cause })
    }
    try {
      return await rom.sync(signal)
    } catch (error) {
      if (attempt === resets || !isOtaError(error) || error.code !== 'SERIAL_NO_ANSWER') throw error
    }
  }
}

async function leaveRom(rom: RomConversation, line: SerialLine, reset: ResetSequence, signal: AbortSignal): Promise<void> {
  if (reset.leave !== undefined) return await reset.leave(line, (ms) => waitFor(ms, signal))
  // The ROM restarts only out of a download: one of nothing.
  await rom.ask({ command: romCommands.flashBegin, data: words(0, 0, 0x400, 0) }, { signal })
  await rom.ask({ command: romCommands.flashEnd, data: words(0) }, { signal })
}

async function changeBaud(rom: RomConversation, line: SerialLine, { baud, initialBaud }: Settings, signal: AbortSignal): Promise<void> {
  if (baud === initialBaud) return
  await rom.ask({ command: romCommands.changeBaud, data: words(baud, 0) }, { signal })
  await line.setBaud?.(baud)
  // What is sent while the clocks change is noise.
  await waitFor(20, signal)
  await rom.sync(signal)
}

/** @throws `WRONG_CHIP` */
function expectModel({ model }: Device, found: string): void {
  const expected = model === undefined ? undefined : chipOfModel(model)?.name
  if (expected === undefined || expected === found) return
  throw fail('WRONG_CHIP', `expected ${expected} (model ${model}) at the other end of the cable, found ${found}`)
}
