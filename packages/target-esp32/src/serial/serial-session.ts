import { aborted, type Device, isOtaError, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import type { ChipName } from '../image/chips.ts'
import { detectChip } from './detect-chip.ts'
import { flashSize } from './flash-size.ts'
import { controlLines, noControlLines, type ResetSequence } from './reset-sequence.ts'
import { type RomConversation, type RomTimes, romConversation, waitFor } from './rom-conversation.ts'
import { type RomFlash, romFlash } from './rom-flash.ts'
import { romCommands, words } from './rom-protocol.ts'
import type { OpenLine, SerialLine } from './serial-line.ts'

/** What `serialTransport` makes of its options. */
export interface SerialSettings {
  readonly baud: number
  readonly initialBaud: number
  readonly reset: ResetSequence | undefined
  readonly flashBytes: number | undefined
  readonly times: RomTimes
  readonly open: OpenLine
  pathOf(device: Device): string | undefined
}

/** One line that is open, and the chip at its end, for all who are connected over it. */
export interface SerialSession {
  readonly chip: ChipName
  readonly flashBytes: number
  readonly secureBoot: 'none' | 'v2' | undefined
  readonly retries: number
  readonly isOver: boolean
  /** Makes sure that the ROM answers, and brings the chip back into it where it was restarted. */
  wake(signal: AbortSignal): Promise<void>
  /** Runs work on flash. */
  flash<T>(work: (flash: RomFlash) => Promise<T>, signal: AbortSignal): Promise<T>
  /** Restarts the chip into its application. */
  restart(signal: AbortSignal): Promise<void>
  end(reason: Error): Promise<void>
}

/** Opens a line and finds the chip. @throws what opening, detecting and speaking throw; the line is closed then */
export async function openSession(path: string, settings: SerialSettings, signal: AbortSignal): Promise<SerialSession> {
  const line = await openedLine(path, settings, signal)
  const rom = romConversation(line, path, settings.times)
  const reset = settings.reset ?? (line.setSignals === undefined ? noControlLines : controlLines)
  try {
    await enterRom(rom, line, reset, signal)
    const { chip, security } = await detectChip(rom, signal)
    await changeBaud(rom, line, settings, signal)
    await attachFlash(rom, signal)
    const flashBytes = settings.flashBytes ?? (await flashSize(chip, rom, signal))
    await describeFlash(rom, flashBytes, signal)
    const flash = romFlash(rom, settings.times)
    let isAway = false
    const awake = async (caller: AbortSignal): Promise<void> => {
      if (!isAway) return
      await line.setBaud?.(settings.initialBaud)
      await enterRom(rom, line, reset, caller)
      await changeBaud(rom, line, settings, caller)
      await attachFlash(rom, caller)
      await describeFlash(rom, flashBytes, caller)
      isAway = false
    }
    return Object.freeze<SerialSession>({
      chip: chip.name,
      flashBytes,
      secureBoot: security === undefined ? undefined : security.secureBoot ? 'v2' : 'none',
      get retries() {
        return flash.retries
      },
      get isOver() {
        return rom.isOver
      },
      wake: (caller) =>
        rom.exclusively(caller, async () => {
          if (isAway) await awake(caller)
          else await rom.sync(caller)
        }),
      flash: (work, caller) =>
        rom.exclusively(caller, async () => {
          await awake(caller)
          return await work(flash)
        }),
      restart: (caller) =>
        rom.exclusively(caller, async () => {
          await awake(caller)
          await leaveRom(rom, line, reset, caller)
          isAway = true
        }),
      async end(reason) {
        rom.end(reason)
        await line.close()
      },
    })
  } catch (error) {
    await line.close()
    throw isOtaError(error) || !signal.aborted ? error : aborted(signal)
  }
}

async function openedLine(path: string, { open, initialBaud }: SerialSettings, signal: AbortSignal): Promise<SerialLine> {
  try {
    return await open(path, { baud: initialBaud, signal })
  } catch (cause) {
    throwIfAborted(signal)
    throw isOtaError(cause) ? cause : fail('SERIAL_UNAVAILABLE', `${path}: expected a line that can be opened, found an error`, { cause })
  }
}

/** Times that a chip is reset into its ROM: a board on a hub may miss one. */
const resets = 2

async function enterRom(rom: RomConversation, line: SerialLine, reset: ResetSequence, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await signalled(line, reset.enter, signal)
    try {
      await rom.sync(signal)
      return
    } catch (error) {
      if (attempt === resets || !isOtaError(error) || error.code !== 'SERIAL_NO_ANSWER') throw error
    }
  }
}

async function signalled(line: SerialLine, move: ResetSequence['enter'], signal: AbortSignal): Promise<void> {
  try {
    await move(line, (ms) => waitFor(ms, signal))
  } catch (cause) {
    throwIfAborted(signal)
    if (isOtaError(cause)) throw cause
    throw fail(
      'SERIAL_UNAVAILABLE',
      'expected control lines that can be set, found an error; pass `reset: noControlLines` where there are none',
      {
        cause,
      },
    )
  }
}

async function leaveRom(rom: RomConversation, line: SerialLine, { leave }: ResetSequence, signal: AbortSignal): Promise<void> {
  if (leave !== undefined) {
    await signalled(line, leave, signal)
    return
  }
  // The ROM restarts only out of a download: one of nothing.
  await rom.ask({ command: romCommands.flashBegin, data: words(0, 0, 0x400, 0) }, { signal })
  await rom.ask({ command: romCommands.flashEnd, data: words(0) }, { signal })
}

async function changeBaud(
  rom: RomConversation,
  line: SerialLine,
  { baud, initialBaud }: SerialSettings,
  signal: AbortSignal,
): Promise<void> {
  if (baud === initialBaud) return
  await rom.ask({ command: romCommands.changeBaud, data: words(baud, 0) }, { signal })
  await line.setBaud?.(baud)
  // What is sent while the clocks change is noise.
  await waitFor(20, signal)
  await rom.sync(signal)
}

async function attachFlash(rom: RomConversation, signal: AbortSignal): Promise<void> {
  await rom.ask({ command: romCommands.attachFlash, data: words(0, 0) }, { signal })
}

async function describeFlash(rom: RomConversation, flashBytes: number, signal: AbortSignal): Promise<void> {
  // Without it, the ROM takes the flash for one of 2 MiB: id, size, block, sector, page, mask of the status.
  await rom.ask({ command: romCommands.setFlashParameters, data: words(0, flashBytes, 0x1_0000, 0x1000, 0x100, 0xffff) }, { signal })
}
