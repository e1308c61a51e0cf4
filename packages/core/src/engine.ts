import { targetOf } from './catalog/target-of.ts'
import { type Composition, compose, type ReflashOptions } from './composition.ts'
import { throwIfAborted } from './content/abort.ts'
import { fail } from './core-errors.ts'
import { journeyContext } from './journey/journeys.ts'
import { checkPrincipal } from './journey/reported-state.ts'
import type { Device } from './plugin/device.ts'
import type { CallOptions } from './plugin/plugin.ts'
import type { Ports } from './plugin/ports.ts'
import type { Driver, Target } from './plugin/target.ts'
import type { Transport } from './plugin/transport.ts'
import { type PushResult, pushUpdate } from './push/push-update.ts'

export type { PushResult } from './push/push-update.ts'

/** Pushes updates to devices that do not come by themselves. */
export interface Engine {
  readonly composition: Composition
  /**
   * Pushes a release to a device through the first transport that has a port the target can drive: a reference with tag or digest, or
   * the highest version that the device may have. Goes on with an update of the same release that was cut short; without a reference, with
   * any that has begun. One push per device at a time.
   * @throws `PLAN_REFUSED`, `WRONG_DEVICE`, `EVIDENCE_REQUIRED`, `EVIDENCE_REFUSED` (rejected), `DEVICE_BUSY`, `DEVICE_SILENT`,
   * `JOURNAL_CONFLICT` (unavailable), `TRANSPORT_UNSUPPORTED`, `TARGET_UNKNOWN` (unsupported), and what rooms, transport and driver throw
   */
  update(device: Device, options?: CallOptions & { readonly reference?: string }): Promise<PushResult>
}

/** A composition with the transports that it pushes over. */
export interface EngineOptions extends ReflashOptions {
  /** At least one with `connect`. */
  readonly transports: readonly Transport[]
  /** Milliseconds before a second look at a device that has not confirmed yet; later ones are up to ten times as far apart. One second unless said. */
  readonly lookAgainMs?: number
  /** Milliseconds that one step of a driver may take; an hour unless said, for 16 MiB over a slow cable. */
  readonly stageMs?: number
}

const never = new AbortController().signal

/** Which devices each composition pushes to now: two writers on one flash make an image of neither. */
const busy = new WeakMap<Composition, Set<string>>()

/**
 * Makes the engine that pushes: it runs a driver over a transport's port, and the rooms judge what the driver saw.
 * @throws `INVALID_COMPOSITION`
 * @example
 * const engine = createEngine({ ...options, transports: [memoryTransport([device])] })
 * const { outcome, because } = await engine.update({ id: 'board-1', model: 'board' })
 */
export function createEngine(options: EngineOptions, shared?: Composition): Engine {
  const { lookAgainMs = 1_000, stageMs = 3_600_000 } = options
  for (const [name, value] of Object.entries({ lookAgainMs, stageMs })) {
    if (!Number.isInteger(value) || value < 1 || value > 86_400_000)
      throw fail('INVALID_COMPOSITION', `${name}: expected milliseconds from 1 to 86400000, found ${String(value)}`)
  }
  const composition = shared ?? compose(options)
  const context = journeyContext(composition)
  const running = busy.get(composition) ?? new Set<string>()
  busy.set(composition, running)

  async function update(device: Device, { reference, signal = never }: Parameters<Engine['update']>[1] = {}): Promise<PushResult> {
    checkPrincipal({ deviceId: device.id })
    throwIfAborted(signal)
    const target = targetOf(device, composition.targets)
    const { connect, driver } = wayTo(options.transports, target)
    if (running.has(device.id))
      throw fail('DEVICE_BUSY', `device ${device.id}: expected no other push to it, found one running; wait for its end`)
    running.add(device.id)
    try {
      const connection = await connect(device, { signal })
      try {
        const scene = { deviceId: device.id, driver, connection, stageMs, composition, context, target, reference, signal }
        return await pushUpdate({ ...scene, device, lookAgainMs })
      } finally {
        // What was pushed is in the journal, whatever a connection says at its end.
        await Promise.resolve(connection[Symbol.asyncDispose]()).catch(() => undefined)
      }
    } finally {
      running.delete(device.id)
    }
  }

  return Object.freeze<Engine>({ composition, update })
}

interface FoundWay {
  readonly connect: NonNullable<Transport['connect']>
  readonly driver: Driver<Ports[keyof Ports], never>
}

function wayTo(transports: readonly Transport[], target: Target): FoundWay {
  for (const transport of transports) {
    const { uses: kind, connect } = transport
    const driver = kind === undefined ? undefined : target.drive?.[kind]
    if (kind !== undefined && connect !== undefined && driver !== undefined) {
      return { connect: connect.bind(transport), driver: driver as Driver<Ports[keyof Ports], never> }
    }
  }
  const ports = Object.keys(target.drive ?? {}).join(', ') || 'none: its devices pull'
  const found = transports.map(({ name, uses }) => `${name} (${uses ?? 'pull only'})`).join(', ') || 'none'
  throw fail('TRANSPORT_UNSUPPORTED', `target ${target.name}: expected a transport with one of its ports (${ports}), found ${found}`)
}
