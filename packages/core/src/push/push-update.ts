import { throwIfAborted } from '../content/abort.ts'
import { formatPlatform, samePlatform } from '../content/platform.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type OtaError, type Reason } from '../errors.ts'
import { deviceState } from '../gateway/device-state.ts'
import type { Step } from '../journey/advance.ts'
import type { OpenUpdate } from '../journey/device-record.ts'
import { mayStillBoot } from '../journey/journeys.ts'
import { endUpdate, observe } from '../journey/observe.ts'
import { loadRecord } from '../journey/record-store.ts'
import { readState } from '../journey/reported-state.ts'
import type { Device, DeviceState, Installed } from '../plugin/device.ts'
import { appraise } from '../update/appraise.ts'
import { unknownObservation } from '../update/judge.ts'
import type { Observation } from '../update/observation.ts'
import { imageOf, type Release } from '../update/release-line.ts'
import { act } from './drive.ts'
import { openPush, type PushScene } from './open-push.ts'
import { pause } from './pause.ts'
import { presentedFor } from './present-evidence.ts'

/** How a push ended. */
export interface PushResult {
  readonly seq: number
  readonly version: string
  /** `waiting`: the device has not said its last word; another push of the same goes on from there. */
  readonly outcome: 'confirmed' | 'waiting' | 'failed'
  readonly because: readonly Reason[]
}

export interface Push extends PushScene {
  readonly device: Device
  readonly lookAgainMs: number
}

const never = new AbortController().signal

/** Looks become rarer, up to this many times the first pause. */
const slowest = 10

/**
 * Takes one device through the rooms from wherever its update stands, and back where the new image does not prove good.
 * @throws `WRONG_DEVICE`, `PLAN_REFUSED` (rejected), `ABORTED`, `DEVICE_SILENT`, and what rooms, transport and driver throw
 */
export async function pushUpdate(push: Push): Promise<PushResult> {
  const seen = await probed(push)
  const opened = await openPush(push, seen)
  const { release } = opened
  let { open } = opened
  const looks = patience(push)
  let hasBooted = false
  for (;;) {
    throwIfAborted(push.signal)
    const shown = await actOn(push, open, release)
    const observed = await wentBack(push, open, shown, hasBooted)
    hasBooted ||= open.stage === 'install' && shown.by === 'check-in' && shows(open, shown.installed)
    const { steps, open: after, told } = await recordedIn(push, open, observed)
    const last = steps.at(-1)
    const because = [...(last?.because ?? []), ...told]
    const result = { seq: open.seq, version: open.version, because }
    if (after === undefined) return { ...result, outcome: last?.is === 'passed' ? 'confirmed' : 'failed' }
    const stuck = after.stage === open.stage
    open = after
    if (!stuck) continue
    const proven = await provenIn(push, open, release, last)
    if (proven !== undefined) return proven
    // A driver that has not done its part yet is not looked at again, but called again: by the next push.
    if (open.stage !== 'install' || !(await looks.again())) return { ...result, outcome: 'waiting' }
  }
}

// What the device is, as its flash or its agent says; the caller's word for its model counts where the two can be one.
async function probed(push: Push): Promise<DeviceState> {
  const { device, target, driver, connection, composition, signal } = push
  const { port, principal } = connection
  for (const id of [principal.deviceId, port.deviceId]) if (id !== device.id) throw otherDevice(device, id)
  const state = await act(push, 'admit', signal, (context) => driver.probe(port, context))
  if (state.id !== device.id) throw otherDevice(device, state.id)
  const { installed, model, ...rest } = state
  // An image without a version says nothing of what it is.
  const said = readState({
    ...rest,
    ...(model === undefined ? {} : { model }),
    ...(installed === undefined || installed.version === '' ? {} : { installed }),
  })
  const { record } = await loadRecord(composition.journal, device.id, signal)
  const seen = deviceState(device.id, said, record)
  if (device.model === undefined) return seen
  const named = { ...seen, model: device.model }
  const [claimed, shown] = [target.platforms(named), target.platforms(seen)]
  if (shown.length === 0 || claimed.some((own) => shown.some((other) => samePlatform(own, other)))) return named
  const message = `device ${device.id}: expected model ${device.model}, found one that runs ${shown.map(formatPlatform).join(' or ')}`
  throw fail('PLAN_REFUSED', message, { stage: 'plan', because: [{ code: 'WRONG_MODEL', message }] })
}

/** One step of the driver: delivery, installation, or a look at what became of it. */
async function actOn(push: Push, open: OpenUpdate, release: Release): Promise<Observation> {
  const { target, driver, connection, signal } = push
  const { port } = connection
  const plan = target.parsePlan(open.plan) as never
  const drive = (): Promise<Observation> => {
    if (open.stage === 'plan') return act(push, 'deliver', signal, (c) => driver.deliver(plan, imageOf(release).image, port, c))
    if (open.stage === 'deliver') return act(push, 'install', signal, (c) => driver.install(plan, port, c))
    return act(push, 'confirm', signal, (c) => driver.confirm(plan, port, c))
  }
  try {
    const observed: unknown = await drive()
    if (typeof observed !== 'object' || observed === null) throw unknownObservation(observed as never)
    return observed as Observation
  } catch (error) {
    // Cut short by the line, the caller or a bug: the facts stay, and the next push goes on from them.
    if (!isOtaError(error) || error.fault === 'unavailable' || error.fault === 'aborted' || error.fault === 'internal') throw error
    throw await given(push, open, error)
  }
}

// Only a device that was seen to run the new image, or had its time to start it, has gone back: the old firmware may answer until it restarts.
async function wentBack(push: Push, open: OpenUpdate, seen: Observation, hasBooted: boolean): Promise<Observation> {
  if (open.stage !== 'install') return seen
  const old =
    seen.by === 'check-in' && !shows(open, seen.installed)
      ? [`the device runs ${seen.installed.version}`]
      : seen.by === 'report' && seen.report.state === 'installed'
        ? (seen.report.messages ?? [])
        : undefined
  if (old === undefined || (!hasBooted && (await mayStillBoot(push.context, push.device.id, open)))) return seen
  return { by: 'report', report: { state: 'rolled-back', messages: old } }
}

function shows(open: OpenUpdate, { digest, version }: Installed): boolean {
  return digest === undefined ? version === open.version : digest === open.digest
}

// The driver says that this cannot work: back to the old image where the new one may have been switched to, then the end.
async function given(push: Push, open: OpenUpdate, error: OtaError): Promise<OtaError> {
  if (open.stage !== 'plan') await rollBack(push, open, error.because)
  const end = { stage: open.stage === 'plan' ? 'deliver' : 'install', outcome: 'failed', because: error.because, tried: true } as const
  await endUpdate(push.context, push.device.id, open.seq, end)
  return error
}

// What was seen is recorded whatever becomes of the caller.
async function recordedIn(push: Push, open: OpenUpdate, observed: Observation, nonce?: Uint8Array) {
  let told: readonly Reason[] = []
  const beforeFailure = async (steps: readonly Step[]): Promise<void> => {
    const last = steps.at(-1)
    if (last !== undefined && last.stage !== 'deliver') told = await rollBack(push, open, last.because)
  }
  const options = { signal: never, beforeFailure, ...(nonce === undefined ? {} : { nonce }) }
  const { steps, open: after } = await observe(push.context, push.device.id, open.seq, observed, options)
  return { steps, open: after, told }
}

// Back on anything but healthy. That it did not work is told, and changes nothing about the end.
async function rollBack(push: Push, { seq, version, plan }: OpenUpdate, because: readonly Reason[]): Promise<readonly Reason[]> {
  const { driver, connection, composition, target, device } = push
  const { rollback } = driver
  if (rollback === undefined) return []
  const tell = (status: 'passed' | 'failed', why: readonly Reason[]): void =>
    composition.events.emit({
      type: 'device',
      at: composition.clock(),
      stage: 'rollback',
      status,
      deviceId: device.id,
      seq,
      version,
      because: why,
    })
  try {
    await act(push, 'rollback', never, (context) => rollback(target.parsePlan(plan) as never, connection.port, context))
    tell('passed', because)
    return [{ code: 'ROLLED_BACK', message: 'the device was told to go back to its old image' }]
  } catch (error) {
    if (!isOtaError(error)) throw error
    const why = [{ code: 'ROLLBACK_FAILED', message: `the device could not be told to go back: ${error.code}: ${error.message}` }]
    tell('failed', why)
    return why
  }
}

// The device runs the image and keeps it; where the policy demands it, it is asked to prove so.
async function provenIn(push: Push, open: OpenUpdate, release: Release, last: Step | undefined): Promise<PushResult | undefined> {
  const { composition, device, signal } = push
  if (last?.stage !== 'confirm' || last.because[0]?.code !== 'EVIDENCE_REQUIRED') return undefined
  const presented = await presentedFor(push, 'confirm')
  const { seq, version } = open
  if (presented === undefined) return { seq, version, outcome: 'waiting', because: last.because }
  const { measurements } = imageOf(release)
  const result = await appraise(device.id, presented, 'confirm', composition, { signal, now: composition.clock() }, measurements)
  const { steps, open: after, told } = await recordedIn(push, open, { by: 'evidence', result }, presented.nonce)
  const because = [...(steps.at(-1)?.because ?? []), ...told]
  const outcome = after !== undefined ? 'waiting' : steps.at(-1)?.is === 'passed' ? 'confirmed' : 'failed'
  return { seq, version, outcome, because }
}

/** Looks again after a while, ever more rarely, and no longer than the policy waits for a confirmation. */
function patience({ lookAgainMs, composition, signal }: Push): { again(): Promise<boolean> } {
  const { confirmWithinMs } = composition.policy
  const since = performance.now()
  let waitMs = lookAgainMs
  return {
    async again() {
      if (performance.now() - since + waitMs > confirmWithinMs) return false
      await pause(waitMs, signal)
      waitMs = Math.min(waitMs * 1.5, lookAgainMs * slowest)
      return true
    },
  }
}

function otherDevice({ id }: Device, found: string): Error {
  return fail('WRONG_DEVICE', `expected device ${id} at the other end, found ${found}`, { stage: 'admit' })
}
