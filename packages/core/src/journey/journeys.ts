import type { Composition } from '../composition.ts'
import type { Json } from '../content/json.ts'
import { parsePlatform } from '../content/platform.ts'
import { fail } from '../core-errors.ts'
import { isOtaError, type Reason } from '../errors.ts'
import type { DeviceState, Principal } from '../plugin/device.ts'
import type { Evidence } from '../plugin/evidence-verifier.ts'
import { type Resumed, resume } from '../resume.ts'
import { appraise } from '../update/appraise.ts'
import type { Planned } from '../update/device-line.ts'
import { runs } from '../update/judge.ts'
import type { Observation, Report } from '../update/observation.ts'
import { imageOf, type Release } from '../update/release-line.ts'
import { advance, recorded, type Step } from './advance.ts'
import { checkAttributes } from './bounds.ts'
import { closed, type DeviceRecord, loadRecord, type OpenUpdate, type StoredRecord, saveRecord } from './device-record.ts'
import type { NewUpdate } from './open-update.ts'

/** What an observation did to an open update. */
export interface Seen {
  readonly record: DeviceRecord
  /** Absent where the update was ended because it no longer verifies. */
  readonly planned?: Planned
  readonly because: readonly Reason[]
  /** The device is to prove what it runs. */
  readonly challenge: boolean
}

/** Moves devices' records: each step one compare-and-set, durable before anybody is told. */
export interface Journeys {
  /** Opens an update where a check-in found none. */
  open(deviceId: string, stored: StoredRecord, update: NewUpdate): Promise<void>
  /** The same for a device that does not report; does nothing where its last update of this image ended just so. */
  begin(deviceId: string, update: NewUpdate): Promise<void>
  supersede(deviceId: string, seq: number): Promise<void>
  seen(
    who: Principal,
    device: DeviceState,
    evidence: Evidence | undefined,
    nonce: () => Promise<Uint8Array | undefined>,
    signal: AbortSignal,
  ): Promise<Seen>
  report(who: Principal, seq: number, report: Report, signal: AbortSignal): Promise<void>
  /** Ends the update of a device that cannot report, once its image was sent whole. */
  unheard(deviceId: string): Promise<void>
  end(deviceId: string, seq: number, outcome: 'failed' | 'superseded' | 'unobserved', because: readonly Reason[]): Promise<void>
  releaseOf(deviceId: string, seq: number, signal: AbortSignal): Promise<Release>
  attributes(deviceId: string, data: Readonly<Record<string, Json>>, mode: 'merge' | 'replace' | 'remove'): Promise<void>
  /** Judges one observation of a push, which has its own evidence. */
  observe(deviceId: string, seq: number, observed: Observation, signal: AbortSignal, nonce?: Uint8Array): Promise<readonly Step[]>
}

const never = new AbortController().signal

/** Concurrent writers of one device are few; more rounds than this mean something is wrong. */
const conflictRounds = 8

export function createJourneys(composition: Composition): Journeys {
  const { journal, clock, events, policy, catalog, targets } = composition

  /** Reads, decides and writes until nobody was faster. */
  async function change<T>(
    deviceId: string,
    decide: (record: DeviceRecord) => Promise<{ readonly record: DeviceRecord; readonly result: T }>,
  ): Promise<T> {
    for (let round = 1; ; round++) {
      const stored = await loadRecord(journal, deviceId)
      const { record, result } = await decide(stored.record)
      if (record === stored.record) return result
      try {
        await saveRecord(journal, deviceId, record, stored.version)
        return result
      } catch (error) {
        if (!isOtaError(error) || error.code !== 'JOURNAL_CONFLICT' || round === conflictRounds) throw error
      }
    }
  }

  function tell(
    deviceId: string,
    open: Pick<OpenUpdate, 'seq' | 'version'>,
    steps: readonly { stage: Step['stage'] | 'plan' | 'admit'; is: Step['is']; because: readonly Reason[] }[],
  ): void {
    for (const { stage, is, because } of steps) {
      events.emit({ type: 'device', at: clock(), stage, status: is, deviceId, seq: open.seq, version: open.version, because })
    }
  }

  function opened(record: DeviceRecord, update: NewUpdate): DeviceRecord {
    const at = clock().toISOString()
    return { ...record, seq: update.seq, open: { ...update, at, since: at } }
  }

  // The proofs of an open update, or the end of it: what no longer verifies must not go on.
  async function proofs(
    deviceId: string,
    open: OpenUpdate,
    signal: AbortSignal,
  ): Promise<Resumed | { readonly refused: readonly Reason[] }> {
    try {
      return await resume(deviceId, open, { ...composition, catalog, targets }, { signal, now: clock() })
    } catch (error) {
      if (isOtaError(error) && (error.fault === 'rejected' || error.fault === 'unsupported' || error.code === 'FACTS_CORRUPT'))
        return { refused: error.because }
      throw error
    }
  }

  async function observe(
    deviceId: string,
    seq: number,
    observed: Observation,
    signal: AbortSignal,
    nonce?: Uint8Array,
  ): Promise<readonly Step[]> {
    let closing: OpenUpdate | undefined
    const steps = await change<readonly Step[]>(deviceId, async (record) => {
      const { open } = record
      if (open?.seq !== seq) throw noOffer(deviceId, seq, record)
      closing = open
      const from = await proofs(deviceId, open, signal)
      const now = clock()
      if ('refused' in from) {
        return { record: closed(record, 'failed', from.refused, now), result: [{ stage: 'confirm', is: 'failed', because: from.refused }] }
      }
      const taken = advance(from, observed, { ...policy, ...(nonce === undefined ? {} : { nonce }) }, now)
      return { record: recorded(record, observed, taken, now), result: taken }
    })
    if (closing !== undefined) tell(deviceId, closing, steps)
    return steps
  }

  async function report(who: Principal, seq: number, told: Report, signal: AbortSignal): Promise<void> {
    const { record } = await loadRecord(journal, who.deviceId)
    // A report that is repeated after its answer was lost is no mistake.
    if (record.open?.seq !== seq && record.history.some((entry) => entry.seq === seq)) return
    await observe(who.deviceId, seq, { by: 'report', report: told }, signal)
  }

  async function seen(
    who: Principal,
    device: DeviceState,
    evidence: Evidence | undefined,
    nonce: () => Promise<Uint8Array | undefined>,
    signal: AbortSignal,
  ): Promise<Seen> {
    const { record } = await loadRecord(journal, who.deviceId)
    const { open } = record
    if (open === undefined) throw noOffer(who.deviceId, record.seq, record)
    const from = await proofs(who.deviceId, open, signal)
    if ('refused' in from) {
      await end(who.deviceId, open.seq, 'failed', from.refused)
      return { record: closed(record, 'failed', from.refused, clock()), because: from.refused, challenge: false }
    }
    const planned = plannedOf(from)
    const answer = async (because: readonly Reason[], challenge = false): Promise<Seen> => ({
      record: (await loadRecord(journal, who.deviceId)).record,
      planned,
      because,
      challenge,
    })
    const { installed } = device
    if (installed === undefined) return answer([])
    if (!runs(planned, installed)) {
      if (open.stage !== 'install' || clock().getTime() - Date.parse(open.since) < policy.bootGraceMs) {
        return answer([
          { code: open.stage === 'install' ? 'NOT_BOOTED' : 'OFFERED', message: `the device shows version ${installed.version}` },
        ])
      }
      const because = [
        { code: 'ROLLED_BACK', message: `the device said that it installed ${open.version}, and shows ${installed.version}` },
      ]
      await end(who.deviceId, open.seq, 'failed', because)
      return answer(because)
    }
    const steps = await observe(who.deviceId, open.seq, { by: 'check-in', installed }, signal)
    const last = steps.at(-1)
    if (last?.stage !== 'confirm' || last.is !== 'waiting' || policy.attestation !== 'proven' || installed.state === 'pending')
      return answer(last?.because ?? [])
    const expected = evidence === undefined ? undefined : await nonce()
    if (evidence === undefined || expected === undefined) return answer(last.because, true)
    const measurements = imageOf(planned.release).measurements
    const result = await appraise(
      who.deviceId,
      { evidence, nonce: expected },
      'confirm',
      composition,
      { signal, now: clock() },
      measurements,
    )
    const proven = await observe(who.deviceId, open.seq, { by: 'evidence', result }, signal, expected)
    return answer(proven.at(-1)?.because ?? [])
  }

  async function end(
    deviceId: string,
    seq: number,
    outcome: 'failed' | 'superseded' | 'unobserved',
    because: readonly Reason[],
  ): Promise<void> {
    const ended = await change(deviceId, async (record) =>
      record.open?.seq === seq ? { record: closed(record, outcome, because, clock()), result: record.open } : { record, result: undefined },
    )
    if (ended !== undefined && outcome !== 'superseded') tell(deviceId, ended, [{ stage: 'confirm', is: outcome, because }])
  }

  return {
    observe,
    end,
    report,
    seen,
    open: async (deviceId, { record, version }, update) => {
      await saveRecord(journal, deviceId, opened(record, update), version)
      tell(deviceId, update, [
        { stage: 'admit', is: 'passed', because: [] },
        { stage: 'plan', is: 'passed', because: [] },
      ])
    },
    begin: async (deviceId, update) => {
      const begun = await change(deviceId, async (record) => {
        const last = record.history[0]
        const same =
          record.open === undefined ? last?.outcome === 'unobserved' && last.digest === update.digest : record.open.digest === update.digest
        return same
          ? { record, result: false }
          : { record: opened(closed(record, 'superseded', [], clock()), { ...update, seq: record.seq + 1 }), result: true }
      })
      if (begun) tell(deviceId, update, [{ stage: 'plan', is: 'passed', because: [] }])
    },
    supersede: (deviceId, seq) => end(deviceId, seq, 'superseded', [{ code: 'SUPERSEDED', message: 'a newer release is offered instead' }]),
    unheard: async (deviceId) => {
      const { record } = await loadRecord(journal, deviceId)
      if (record.open?.reports !== false) return
      await observe(deviceId, record.open.seq, { by: 'none', since: clock() }, never)
    },
    releaseOf: async (deviceId, seq, signal) => {
      const { record } = await loadRecord(journal, deviceId)
      const { open } = record
      if (open?.seq !== seq) throw noOffer(deviceId, seq, record)
      const target = targets.find(({ name }) => name === open.target)
      if (target === undefined) throw fail('TARGET_UNKNOWN', `device ${deviceId}: expected target ${open.target}, which planned its update`)
      return catalog.pinned(open.reference, open.platforms.map(parsePlatform), target, signal)
    },
    attributes: (deviceId, data, mode) =>
      change(deviceId, async (record) => ({
        record: { ...record, attributes: merged(record.attributes ?? {}, data, mode) },
        result: undefined,
      })),
  }
}

function plannedOf(from: Resumed): Planned {
  if (from.stage === 'plan') return from.proof
  return from.stage === 'deliver' ? from.proof.planned : from.proof.delivered.planned
}

function noOffer(deviceId: string, seq: number, { open, history }: DeviceRecord): Error {
  const before = history.find((entry) => entry.seq === seq)
  const found = open !== undefined ? `offer ${open.seq}` : 'none'
  if (before === undefined) return fail('NO_OFFER', `device ${deviceId}: expected an open offer ${seq}, found ${found}; check in again`)
  return fail('OFFER_CLOSED', `device ${deviceId}: offer ${seq} has ended as ${before.outcome}; check in again`, {
    details: { outcome: before.outcome },
  })
}

function merged(
  before: Readonly<Record<string, Json>>,
  data: Readonly<Record<string, Json>>,
  mode: 'merge' | 'replace' | 'remove',
): Readonly<Record<string, Json>> {
  if (mode === 'replace') return data
  if (mode === 'merge') return checkAttributes({ ...before, ...data })
  return Object.fromEntries(Object.entries(before).filter(([key]) => !Object.hasOwn(data, key)))
}
