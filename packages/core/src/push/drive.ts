import type { Composition } from '../composition.ts'
import { throwIfAborted } from '../content/abort.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type Stage } from '../errors.ts'
import type { RunContext } from '../plugin/plugin.ts'
import type { Connection, Ports } from '../plugin/ports.ts'
import type { Driver } from '../plugin/target.ts'

/** A device at the other end of a connection, and what drives it. */
export interface Way {
  readonly deviceId: string
  readonly driver: Driver<Ports[keyof Ports], never>
  readonly connection: Connection<keyof Ports>
  readonly stageMs: number
  readonly composition: Pick<Composition, 'clock' | 'events'>
}

/** A driver that was told to stop has this long to come back: it may be at the one write that must not be cut. */
const graceMs = 10_000

/**
 * Lets the driver act, within the time of one stage. An abort is told to the driver and then waited for: behind its commit point a driver
 * finishes what it does, and what it saw counts.
 * @throws `DEVICE_SILENT` (unavailable), `ABORTED`, `BROKEN_PLUGIN` (internal), and what the driver throws
 */
export async function act<T>(way: Way, stage: Stage, signal: AbortSignal, work: (context: RunContext) => Promise<T>): Promise<T> {
  throwIfAborted(signal)
  const { deviceId, composition } = way
  const { clock, events } = composition
  const own = new AbortController()
  const context: RunContext = {
    signal: own.signal,
    now: clock(),
    progress: (done, total) => events.emit({ type: 'progress', at: clock(), stage, deviceId, done, total }),
  }
  try {
    return await patiently(work(context), own, signal, way.stageMs, () =>
      fail('DEVICE_SILENT', `device ${deviceId}: expected "${stage}" to end within ${way.stageMs} ms`, { stage }),
    )
  } catch (error) {
    if (isOtaError(error)) throw error
    throw fail('BROKEN_PLUGIN', `device ${deviceId}: expected its driver to throw an OtaError, found that it broke`, {
      stage,
      cause: error,
    })
  }
}

function patiently<T>(work: Promise<T>, own: AbortController, signal: AbortSignal, limitMs: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    let isLate = false
    let timer: NodeJS.Timeout
    const settle = (end: () => void): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      end()
    }
    const giveUp = (): void => settle(() => reject(late()))
    const stop = (): void => {
      own.abort(signal.reason)
      clearTimeout(timer)
      timer = setTimeout(giveUp, graceMs)
    }
    timer = setTimeout(() => {
      isLate = true
      stop()
    }, limitMs)
    signal.addEventListener('abort', stop, { once: true })
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(isLate && isOtaError(error) && error.fault === 'aborted' ? late() : error)),
    )
  })
}
