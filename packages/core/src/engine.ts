import { repositoryOf, targetOf } from './catalog/choose-release.ts'
import { type Composition, compose, type ReflashOptions } from './composition.ts'
import { throwIfAborted } from './content/abort.ts'
import { formatReference, parseReference } from './content/reference.ts'
import { fail } from './core-errors.ts'
import { isOtaError, type Reason, type Stage } from './errors.ts'
import type { Step } from './journey/advance.ts'
import { loadRecord, type OpenStage, type OpenUpdate } from './journey/device-record.ts'
import { createJourneys } from './journey/journeys.ts'
import { newUpdate } from './journey/open-update.ts'
import type { Device, DeviceState } from './plugin/device.ts'
import type { CallOptions, RunContext } from './plugin/plugin.ts'
import type { Connection, Ports } from './plugin/ports.ts'
import type { Driver, Target } from './plugin/target.ts'
import type { Transport } from './plugin/transport.ts'
import { resume } from './resume.ts'
import { admit } from './update/admit.ts'
import type { Observation } from './update/observation.ts'
import { plan } from './update/plan.ts'
import { imageOf, type Release } from './update/release-line.ts'

/** How a push ended. */
export interface PushResult {
  readonly seq: number
  readonly version: string
  readonly outcome: 'confirmed' | 'waiting' | 'failed'
  readonly because: readonly Reason[]
}

export interface Engine {
  readonly composition: Composition
  /**
   * Pushes a release to a device through the first transport that has a port the target can drive: a reference with tag or digest, or
   * the repository's highest eligible version. Goes on with an update of the same release that was cut short.
   * @throws `PLAN_REFUSED`, `TRANSPORT_UNSUPPORTED`, and what rooms, transport and driver throw
   */
  update(device: Device, options?: CallOptions & { readonly reference?: string }): Promise<PushResult>
}

export interface EngineOptions extends ReflashOptions {
  /** At least one with `connect`. */
  readonly transports: readonly Transport[]
}

/** How long a driver waits between two looks at a device that has not confirmed yet. Milliseconds. */
const lookAgainMs = 1_000

/**
 * Makes the engine that pushes: it runs a driver over a transport's port, and the rooms judge what the driver saw.
 * @throws `INVALID_COMPOSITION`
 */
export function createEngine(options: EngineOptions, shared?: Composition): Engine {
  const composition = shared ?? compose(options)
  const { catalog, journal, policy, targets, clock, events } = composition
  const journeys = createJourneys(composition)

  async function update(
    device: Device,
    { reference, signal = never }: CallOptions & { readonly reference?: string } = {},
  ): Promise<PushResult> {
    const target = targetOf(device, targets)
    const { transport, kind } = wayTo(options.transports, target)
    const connection = await (transport.connect as NonNullable<Transport['connect']>)(device, { signal })
    try {
      const driver = target.drive?.[kind] as Driver<Ports[typeof kind], never>
      return await push({ device, target, driver, connection, reference, signal })
    } finally {
      await connection[Symbol.asyncDispose]()
    }
  }

  interface Push {
    readonly device: Device
    readonly target: Target
    readonly driver: Driver<Ports[keyof Ports], never>
    readonly connection: Connection<keyof Ports>
    readonly reference: string | undefined
    readonly signal: AbortSignal
  }

  async function push(run: Push): Promise<PushResult> {
    const { device, driver, connection, signal } = run
    const context = (stage: Stage): RunContext => ({
      signal,
      now: clock(),
      progress: (done, total) => events.emit({ type: 'progress', at: clock(), stage, deviceId: device.id, done, total }),
    })
    const seen: DeviceState = {
      ...(await driver.probe(connection.port, context('plan'))),
      id: device.id,
      ...(device.model === undefined ? {} : { model: device.model }),
    }
    const release = await releaseFor(run, seen)
    const { image } = imageOf(release)
    const open = await openOr(run, seen, release)
    const target = run.target
    const stored = target.parsePlan(open.plan) as never
    const step = (observed: Observation): Promise<readonly Step[]> => journeys.observe(device.id, open.seq, observed, signal)
    const ended = (steps: readonly Step[]): PushResult | undefined => {
      const last = steps.at(-1)
      if (last === undefined) return undefined
      const result = { seq: open.seq, version: open.version, because: last.because }
      if (last.is === 'failed' || last.is === 'unobserved') return { ...result, outcome: 'failed' }
      return last.stage === 'confirm' && last.is === 'passed' ? { ...result, outcome: 'confirmed' } : undefined
    }
    let stage: OpenStage = open.stage
    try {
      if (stage === 'plan') {
        const end = ended(await step(await driver.deliver(stored, image, connection.port, context('deliver'))))
        if (end !== undefined) return end
        stage = 'deliver'
      }
      if (stage === 'deliver') {
        const end = ended(await step(await driver.install(stored, connection.port, context('install'))))
        if (end !== undefined) return await backed(run, stored, end)
      }
      return await confirmed(run, stored, open, step, ended)
    } catch (error) {
      // Cut short by the line or the caller: the facts stay, and the next push goes on from them.
      if (isOtaError(error) && (error.fault === 'unavailable' || error.fault === 'aborted' || error.fault === 'internal')) throw error
      if (!isOtaError(error)) throw error
      await journeys.end(device.id, open.seq, 'failed', error.because)
      throw error
    }
  }

  async function confirmed(
    run: Push,
    stored: never,
    open: OpenUpdate,
    step: (observed: Observation) => Promise<readonly Step[]>,
    ended: (steps: readonly Step[]) => PushResult | undefined,
  ): Promise<PushResult> {
    const { driver, connection, signal } = run
    const deadline = clock().getTime() + policy.confirmWithinMs
    for (;;) {
      const steps = await step(await driver.confirm(stored, connection.port, { signal, now: clock() }))
      const end = ended(steps)
      if (end !== undefined) return end.outcome === 'failed' ? backed(run, stored, end) : end
      const because = steps.at(-1)?.because ?? []
      if (clock().getTime() >= deadline) return { seq: open.seq, version: open.version, outcome: 'waiting', because }
      await pause(lookAgainMs, signal)
    }
  }

  // Back on anything but healthy.
  async function backed({ driver, connection, device, signal }: Push, stored: never, result: PushResult): Promise<PushResult> {
    if (driver.rollback === undefined) return result
    await driver.rollback(stored, connection.port, { signal, now: clock() })
    events.emit({
      type: 'device',
      at: clock(),
      stage: 'rollback',
      status: 'passed',
      deviceId: device.id,
      seq: result.seq,
      version: result.version,
      because: result.because,
    })
    return result
  }

  async function releaseFor({ target, reference, signal }: Push, seen: DeviceState): Promise<Release> {
    const platforms = target.platforms(seen)
    if (reference === undefined) {
      const repository = repositoryOf(composition.options.repository, seen)
      const highest = (await catalog.versions(repository, signal)).tags[0]
      if (highest === undefined) throw fail('NO_OFFER', `${repository} has no version in channel ${policy.channel}`)
      return catalog.release(repository, highest.tag, platforms, target, signal)
    }
    const { repository, tag, digest } = parseReference(reference)
    if (digest !== undefined) return catalog.pinned(formatReference({ repository, digest }), platforms, target, signal)
    return catalog.release(repository, tag ?? 'latest', platforms, target, signal)
  }

  // An open update of the same image goes on with its stored plan; anything else is planned anew.
  async function openOr(run: Push, seen: DeviceState, release: Release): Promise<OpenUpdate> {
    const { device, target, connection, signal } = run
    const { image } = imageOf(release)
    let stored = await loadRecord(journal, device.id, signal)
    const { open } = stored.record
    if (open !== undefined && open.digest === image.descriptor.digest && open.target === target.name) {
      await resume(device.id, open, { ...composition, catalog, targets }, { signal, now: clock() })
      return open
    }
    const admitted = await admit(seen, connection.principal, undefined, composition, { signal, now: clock() })
    const seq = stored.record.seq + 1
    const planned = plan(`${device.id}/${seq}`, admitted, release, target)
    if (open !== undefined) {
      await journeys.supersede(device.id, open.seq)
      stored = await loadRecord(journal, device.id, signal)
    }
    await journeys.open(device.id, stored, newUpdate(seq, planned, target, { reports: true }))
    const made = (await loadRecord(journal, device.id, signal)).record.open
    if (made?.seq !== seq)
      throw fail('JOURNAL_CONFLICT', `device ${device.id}: expected update ${seq} to be open, found that somebody else changed it`)
    return made
  }

  return Object.freeze<Engine>({ composition, update })
}

const never = new AbortController().signal

function wayTo(transports: readonly Transport[], target: Target): { readonly transport: Transport; readonly kind: keyof Ports } {
  for (const transport of transports) {
    const kind = transport.uses
    if (transport.connect !== undefined && kind !== undefined && target.drive?.[kind] !== undefined) return { transport, kind }
  }
  const ports = Object.keys(target.drive ?? {}).join(', ') || 'none: its devices pull'
  throw fail(
    'TRANSPORT_UNSUPPORTED',
    `target ${target.name}: expected a transport with one of its ports (${ports}), found ${transports.map(({ name, uses }) => `${name} (${uses ?? 'pull only'})`).join(', ') || 'none'}`,
  )
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      try {
        throwIfAborted(signal)
        resolve()
      } catch (error) {
        reject(error as Error)
      }
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
  })
}
