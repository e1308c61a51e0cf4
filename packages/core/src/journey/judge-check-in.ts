import type { Reason } from '../errors.ts'
import type { DeviceState, Installed, Principal } from '../plugin/device.ts'
import type { Evidence } from '../plugin/evidence-verifier.ts'
import type { Resumed } from '../resume.ts'
import { appraise } from '../update/appraise.ts'
import type { Planned } from '../update/device-line.ts'
import { runs } from '../update/judge.ts'
import { imageOf } from '../update/release-line.ts'
import { takeNonce } from './challenge.ts'
import type { OpenUpdate } from './device-record.ts'
import { mayStillBoot } from './journeys.ts'
import { demandedOf, endUpdate, type JourneyContext, type Observed, observe, proofs } from './observe.ts'

/** What a check-in did to an open update. */
export interface Seen {
  /** Absent where the update has ended. */
  readonly still?: { readonly open: OpenUpdate; readonly planned: Planned }
  readonly because: readonly Reason[]
  /** The device is to prove what it runs. */
  readonly challenge: boolean
}

/**
 * Judges what a device shows at a check-in while an update is open.
 * @throws `NO_OFFER`, `OFFER_CLOSED` where another request was faster, and what journal, registry and evidence verifiers throw
 */
export async function judgeCheckIn(
  context: JourneyContext,
  who: Principal,
  device: DeviceState,
  open: OpenUpdate,
  evidence: Evidence | undefined,
  signal: AbortSignal,
): Promise<Seen> {
  const from = await proofs(context, who.deviceId, open, signal)
  if ('refused' in from) {
    await endUpdate(context, who.deviceId, open.seq, { stage: 'confirm', outcome: 'failed', because: from.refused, tried: false })
    return { because: from.refused, challenge: false }
  }
  const planned = plannedOf(from)
  const { installed } = device
  if (installed === undefined || !runs(planned, installed)) return showsNothingNew(context, who.deviceId, open, planned, installed, signal)
  const seen = await observe(context, who.deviceId, open.seq, { by: 'check-in', installed }, { signal })
  const last = seen.steps.at(-1)
  const mayProve =
    last?.stage === 'confirm' && last.is === 'waiting' && demandedOf(context.policy, open) === 'proven' && installed.state !== 'pending'
  return mayProve ? proves(context, who.deviceId, planned, seen, evidence, signal) : answered(seen, planned)
}

function answered({ open, steps }: Observed, planned: Planned, challenge = false): Seen {
  const because = steps.at(-1)?.because ?? []
  return { ...(open === undefined ? {} : { still: { open, planned } }), because, challenge }
}

// The device does not show the new image. Before it has said that it installed it, that means nothing; after, only for so long.
async function showsNothingNew(
  context: JourneyContext,
  deviceId: string,
  open: OpenUpdate,
  planned: Planned,
  installed: Installed | undefined,
  signal: AbortSignal,
): Promise<Seen> {
  const shows = installed === undefined ? 'the device does not say what it runs' : `the device shows version ${installed.version}`
  const waiting = (code: string): Seen => ({ still: { open, planned }, because: [{ code, message: shows }], challenge: false })
  if (open.stage !== 'install') return waiting('OFFERED')
  if (await mayStillBoot(context, deviceId, open)) return waiting('NOT_BOOTED')
  if (installed === undefined) {
    return answered(await observe(context, deviceId, open.seq, { by: 'none', since: new Date(open.since) }, { signal }), planned)
  }
  const because = [{ code: 'ROLLED_BACK', message: `the device said that it installed ${open.version}, and shows ${installed.version}` }]
  await endUpdate(context, deviceId, open.seq, { stage: 'confirm', outcome: 'failed', because, tried: true })
  return { because, challenge: false }
}

async function proves(
  context: JourneyContext,
  deviceId: string,
  planned: Planned,
  seen: Observed,
  evidence: Evidence | undefined,
  signal: AbortSignal,
): Promise<Seen> {
  const nonce = evidence === undefined ? undefined : await takeNonce(context.journal, deviceId, 'confirm', context.clock(), evidence)
  if (evidence === undefined || nonce === undefined || seen.open === undefined) return answered(seen, planned, true)
  const { measurements } = imageOf(planned.release)
  const now = context.clock()
  const result = await appraise(deviceId, { evidence, nonce }, 'confirm', context, { signal, now }, measurements)
  return answered(await observe(context, deviceId, seen.open.seq, { by: 'evidence', result }, { signal, nonce }), planned)
}

function plannedOf(from: Resumed): Planned {
  if (from.stage === 'plan') return from.proof
  return from.stage === 'deliver' ? from.proof.planned : from.proof.delivered.planned
}
