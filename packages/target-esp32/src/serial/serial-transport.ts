import { type CallOptions, type Connection, coreError, type Device, type Transport, throwIfAborted } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { chipOfModel } from '../image/chips.ts'
import { openLine } from './open-line.ts'
import type { ResetSequence } from './reset-sequence.ts'
import type { RomTimes } from './rom-conversation.ts'
import { type SerialFlashPort, serialFlashPort } from './serial-flash-port.ts'
import type { OpenLine } from './serial-line.ts'
import { openSession, type SerialSession, type SerialSettings } from './serial-session.ts'

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
  const sessions = new Map<string, Shared>()
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
      const shared = sessions.get(path) ?? { users: new Set(), turn: Promise.resolve() }
      sessions.set(path, shared)
      const either = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal])
      try {
        return await inTurn(shared, () => join(shared, device, path, settings, either))
      } catch (error) {
        if (ending.signal.aborted && signal?.aborted !== true) throw closed('transport')
        throw error
      }
    },
    async close() {
      ending.abort()
      for (const { users } of sessions.values()) await Promise.all([...users].map((user) => user[Symbol.asyncDispose]()))
    },
  })
}

/** The session over one port, while anybody uses it. */
interface Shared {
  session?: SerialSession
  readonly users: Set<AsyncDisposable>
  turn: Promise<unknown>
}

/** One after the other: a port can be opened once only. */
async function inTurn<T>(shared: Shared, work: () => Promise<T>): Promise<T> {
  const mine = shared.turn.then(work, work)
  shared.turn = mine.catch(() => undefined)
  return await mine
}

async function join(
  shared: Shared,
  device: Device,
  path: string,
  settings: SerialSettings,
  signal: AbortSignal,
): Promise<SerialConnection> {
  throwIfAborted(signal)
  const known = shared.session?.isOver === false ? shared.session : undefined
  if (known === undefined) {
    await shared.session?.end(closed('connection'))
    delete shared.session
  } else await known.wake(signal)
  const session = known ?? (await openSession(path, settings, signal))
  shared.session = session
  try {
    expectModel(device, session.chip)
  } catch (error) {
    if (shared.users.size === 0) await session.end(closed('connection'))
    throw error
  }
  return connectionOver(shared, session, device)
}

function connectionOver(shared: Shared, session: SerialSession, { id: deviceId }: Device): SerialConnection {
  const ending = new AbortController()
  let ended: Promise<void> | undefined
  const end = (): Promise<void> => {
    ended ??= (async () => {
      ending.abort(closed('connection'))
      shared.users.delete(user)
      if (shared.users.size === 0 || session.isOver) await session.end(closed('connection'))
    })()
    return ended
  }
  const user: AsyncDisposable = { [Symbol.asyncDispose]: end }
  shared.users.add(user)
  const { chip, flashBytes, secureBoot } = session
  const port = serialFlashPort({ deviceId, chip, flashBytes, secureBoot, session, ended: ending.signal, end })
  return Object.freeze({ port, principal: Object.freeze({ deviceId, by: 'anonymous' as const }), [Symbol.asyncDispose]: end })
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
}: SerialTransportOptions): SerialSettings {
  const wrong = (name: string, expected: string, found: unknown): Error =>
    coreError('INVALID_OPTIONS', `${name}: expected ${expected}, found ${String(found) || 'nothing'}`)
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

/** @throws `WRONG_CHIP` */
function expectModel({ model }: Device, found: string): void {
  const expected = model === undefined ? undefined : chipOfModel(model)?.name
  if (expected === undefined || expected === found) return
  throw fail('WRONG_CHIP', `expected ${expected} (model ${model}) at the other end of the cable, found ${found}`)
}
