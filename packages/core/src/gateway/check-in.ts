import { type Choice, chooseRelease, upToDate } from '../catalog/choose-release.ts'
import { repositoryOf } from '../catalog/repository-of.ts'
import type { Snapshot } from '../catalog/tag-shelves.ts'
import { targetOf } from '../catalog/target-of.ts'
import type { Composition } from '../composition.ts'
import { isOtaError, type Reason } from '../errors.ts'
import { askToCancel } from '../journey/cancel.ts'
import { issueNonce, takeNonce } from '../journey/challenge.ts'
import type { DeviceRecord, OpenUpdate } from '../journey/device-record.ts'
import { adoptUpdate, endUnheard, openUpdate } from '../journey/journeys.ts'
import { judgeCheckIn } from '../journey/judge-check-in.ts'
import { endUpdate, type JourneyContext } from '../journey/observe.ts'
import { newUpdate } from '../journey/open-update.ts'
import { loadRecord } from '../journey/record-store.ts'
import { checkEvidence, checkPrincipal, type ReportedState, readState } from '../journey/reported-state.ts'
import type { DeviceState, Principal } from '../plugin/device.ts'
import type { Evidence } from '../plugin/evidence-verifier.ts'
import type { Deployment } from '../plugin/fleet-store.ts'
import type { CheckInAnswer, Gateway } from '../plugin/gateway.ts'
import { deviceRefusal } from '../policy/may-install.ts'
import type { Standing } from '../rollout/members.ts'
import { admit } from '../update/admit.ts'
import type { Admitted, Planned, Presented } from '../update/device-line.ts'
import { plan } from '../update/plan.ts'
import { expectBrought, narrowed } from './brought.ts'
import { deviceState } from './device-state.ts'
import { type Pins, type Question, sameQuestion } from './pins.ts'
import { offerOf } from './representation.ts'
import { unlisted } from './unlisted.ts'
import { hasBegun, isUnanswered, isUnavailable, isUnheard, unfit, withdrawn } from './withdrawn.ts'

/** One check-in, through as many rounds as other requests of the same device make it take. */
interface Visit {
  readonly who: Principal
  readonly said: ReportedState
  readonly evidence: Evidence | undefined
  readonly reports: boolean
  /** What the device runs is what it confirmed last: its dialect cannot say. */
  readonly remembers: boolean
  readonly signal: AbortSignal
  /** Kept between the rounds: a nonce is used up by the first. */
  admission: Admission | undefined
}

interface Admission {
  readonly proof: Admitted
  readonly presented?: Presented
}

const never = new AbortController().signal

/** Requests of one device at once are few. */
const rounds = 8

/** Makes the check-in of a gateway: what a device shows is judged, and it is told what to do next. */
export function createCheckIn(composition: Composition, context: JourneyContext, pins: Pins): Gateway['checkIn'] {
  const { catalog, policy, targets, journal, clock, random, pollMs, options, times, members } = composition
  const upToDateAnswer = frozenAnswer({ pollAfterMs: pollMs, because: [{ code: 'UP_TO_DATE', message: 'nothing newer' }] })

  // Whoever never says what it runs cannot be seen to show the old image: it is waited for until it reports.
  const patient: JourneyContext = { ...context, policy: { ...policy, bootGraceMs: Number.POSITIVE_INFINITY } }

  async function oneRound(visit: Visit): Promise<CheckInAnswer> {
    const { who, said, reports, signal } = visit
    let stored = await loadRecord(journal, who.deviceId, signal)
    const { open } = stored.record
    if (open !== undefined && reports) {
      const answer = await goOn(visit, stored.record, open)
      if (answer !== undefined) return answer
      stored = await loadRecord(journal, who.deviceId, signal)
    } else if (open !== undefined && isUnheard(open, clock())) {
      // A dialect that tells nothing cannot move an update on: it is told what is current, and what it has left behind is ended.
      await endUnheard(context, who.deviceId)
      stored = await loadRecord(journal, who.deviceId, signal)
    }
    const { record } = stored
    const device = rememberedState(visit, deviceState(who.deviceId, said, record), record)
    const deciding = members?.decide(device, record, signal)
    const decision = deciding instanceof Promise ? await deciding : deciding
    if (decision?.is === 'hold') return told(visit, { pollAfterMs: pollMs, because: decision.because })
    if (decision?.is === 'current') return told(visit, upToDateAnswer)
    const brought = decision?.deployment
    const repository = repositoryOf(options.repository, device)
    let snapshot: Snapshot
    try {
      const listed = catalog.versions(repository, signal)
      snapshot = narrowed(listed instanceof Promise ? await listed : listed, brought)
    } catch (error) {
      const because = unlisted(error)
      if (because === undefined) throw error
      return told(visit, { pollAfterMs: pollMs, because })
    }
    if (brought === undefined && upToDate(snapshot, device)) return told(visit, upToDateAnswer)
    const asked: Question = { said, snapshot, version: stored.version }
    const pin = reports || policy.attestation !== 'none' ? undefined : pins.get(device.id)
    if (pin !== undefined && sameQuestion(pin.asked, asked)) return pin.answer
    const admission = await admitted(visit, device)
    if (!('proof' in admission)) return told(visit, admission)
    const seq = record.seq + 1
    const choice = await choose(device, record, snapshot, admission.proof, seq, signal, brought)
    const { planned } = choice
    if (planned === undefined) return told(visit, { pollAfterMs: pollMs, because: choice.because })
    // Taken last: a device that the release does not fit leaves its place to another.
    const place = brought === undefined ? undefined : await members?.claim(device, brought, reports, signal)
    if (place !== undefined && place.deployment === undefined) return told(visit, { pollAfterMs: pollMs, because: place.because })
    const deployment = place?.deployment
    const because = decision === undefined ? planned.because : Object.freeze([...decision.because, ...planned.because])
    if (reports) {
      const update = newUpdate(seq, planned, targetOf(device, targets), {
        reports,
        policy: policy.revision,
        presented: admission.presented,
        deployment,
      })
      await openUpdate(context, device.id, stored, update, because)
    }
    const answer: CheckInAnswer = Object.freeze({ offer: offerOf(seq, planned.release), pollAfterMs: pollMs, because })
    if (!reports) pins.set(device.id, { planned, seq, deployment, answer, asked })
    return answer
  }

  // What a silent device is told of nothing, it downloads nothing of.
  function told({ reports, who }: Visit, answer: CheckInAnswer): CheckInAnswer {
    if (!reports) pins.set(who.deviceId, undefined)
    return answer
  }

  function choose(
    device: DeviceState,
    record: DeviceRecord,
    snapshot: Snapshot,
    proof: Admitted,
    seq: number,
    signal: AbortSignal,
    brought: Deployment | undefined,
  ): Promise<Choice> {
    const repository = repositoryOf(options.repository, device)
    const target = targetOf(device, targets)
    return chooseRelease(device, record, {
      snapshot,
      repository,
      target,
      catalog,
      policy,
      prepareMs: times.prepareMs,
      signal,
      plan: (release) => {
        expectBrought(release, brought)
        return plan(`${device.id}/${seq}`, proof, release, target)
      },
    })
  }

  // An open update: what the device shows may move it on; otherwise the same offer stands. Undefined where it has ended.
  async function goOn(visit: Visit, record: DeviceRecord, open: OpenUpdate): Promise<CheckInAnswer | undefined> {
    const { who, said, evidence, signal } = visit
    const device = deviceState(who.deviceId, said, record)
    const { still, because, challenge } = await judgeCheckIn(visit.remembers ? patient : context, who, device, open, evidence, signal)
    if (still === undefined) return undefined
    if (challenge) return challenged(visit, 'confirm', because)
    if (still.open.stage === 'install') {
      return { ...(visit.remembers ? { offer: offerOf(still.open.seq, still.planned.release) } : {}), pollAfterMs: pollMs, because }
    }
    return repeated(visit, device, record, still)
  }

  async function repeated(
    visit: Visit,
    device: DeviceState,
    record: DeviceRecord,
    { open, planned }: { readonly open: OpenUpdate; readonly planned: Planned },
  ): Promise<CheckInAnswer | undefined> {
    const { who, signal } = visit
    const against = unfit(device, open, planned)
    const place = await placeOf(device, open, signal)
    if (place?.is === 'held') return { pollAfterMs: pollMs, because: place.because }
    if (place?.is === 'asked') {
      if (await askToCancel(context, who.deviceId, open.seq, place.because))
        return { cancel: open.seq, pollAfterMs: pollMs, because: place.because }
    }
    const gone = place?.is === 'taken' ? place.because : []
    const brought = place?.is === 'stands' ? place.deployment : undefined
    // Where no evidence is asked for, what the device shows now is what it is planned by.
    const proof = async (): Promise<Admitted> =>
      policy.attestation === 'none' ? admit(device, who, undefined, composition, { signal, now: clock() }) : planned.admitted
    const taken = (): Promise<boolean> =>
      withdrawn(device, open, {
        now: clock(),
        policy,
        versions: async () => narrowed(await catalog.versions(repositoryOf(options.repository, device), signal), brought),
        choose: async (snapshot) => choose(device, record, snapshot, await proof(), open.seq, signal, brought),
      })
    if (against.length > 0 || gone.length > 0 || (await taken())) {
      const why = [...against, ...gone]
      const because = why.length > 0 ? why : [{ code: 'SUPERSEDED', message: 'it is no longer the release for this device' }]
      // Only as it was judged: a report that came in between must not be lost.
      const still = (now: OpenUpdate): boolean => against.length > 0 || (now.stage === open.stage && now.heard === open.heard)
      await endUpdate(context, who.deviceId, open.seq, { stage: 'plan', outcome: 'superseded', because, tried: false, still })
      return undefined
    }
    const refusal = open.stage === 'plan' ? deviceRefusal(device.installed) : undefined
    if (refusal !== undefined) return { pollAfterMs: pollMs, because: [refusal] }
    if (!open.reports) await adoptUpdate(context, who.deviceId, open.seq)
    const because = [{ code: 'OFFERED', message: `offer ${open.seq} stands: ${open.version}` }]
    return { offer: offerOf(open.seq, planned.release), pollAfterMs: pollMs, because }
  }

  // Whether an offer still has its place in a deployment. Where it has none, one that is not begun is taken back at once; a device that has begun is
  // `asked` to stop, because it alone knows whether it still can, and it is not held back by a pause.
  async function placeOf(
    device: DeviceState,
    open: OpenUpdate,
    signal: AbortSignal,
  ): Promise<Standing | { readonly is: 'asked'; readonly because: readonly Reason[] } | undefined> {
    if (members === undefined) return undefined
    const now = clock().getTime()
    const isBegun = open.stage !== 'plan' || hasBegun(open, now)
    // A push alone has no deployment: whoever pushes decides when it ends.
    if (isBegun && (open.deployment === undefined || open.cancel?.refused === true)) return undefined
    if (!isBegun || isUnanswered(open, now)) return members.standing(device, open, signal)
    try {
      const because = await members.taken(device, open, signal)
      return because === undefined ? undefined : { is: 'asked', because }
    } catch (error) {
      // It goes on while nobody can say that it shall not.
      if (isUnavailable(error)) return undefined
      throw error
    }
  }

  async function admitted(visit: Visit, device: DeviceState): Promise<Admission | CheckInAnswer> {
    const { who, evidence, signal } = visit
    const at = { signal, now: clock() }
    if (policy.attestation === 'none') return { proof: await admit(device, who, undefined, composition, at) }
    if (visit.admission !== undefined) return visit.admission
    const nonce = evidence === undefined ? undefined : await takeNonce(journal, device.id, 'admit', at.now, evidence)
    if (evidence === undefined || nonce === undefined) {
      const message =
        evidence === undefined ? 'evidence is needed before an update' : 'the evidence is for no open challenge; here is a new one'
      return challenged(visit, 'admit', [{ code: 'EVIDENCE_REQUIRED', message }])
    }
    const presented = { evidence, nonce }
    visit.admission = { proof: await admit(device, who, presented, composition, at), presented }
    return visit.admission
  }

  async function challenged(
    { who: { deviceId }, evidence }: Visit,
    purpose: 'admit' | 'confirm',
    because: CheckInAnswer['because'],
  ): Promise<CheckInAnswer> {
    const challenge = await issueNonce(journal, deviceId, purpose, random, clock(), evidence)
    return { wants: ['evidence'], challenge, pollAfterMs: pollMs, because }
  }

  return async (who, reported = {}, evidence, o = {}) => {
    checkPrincipal(who)
    checkEvidence(evidence)
    const visit: Visit = {
      who,
      said: readState(reported),
      evidence,
      reports: o.reports !== false,
      remembers: o.installed === 'remembered',
      signal: o.signal ?? never,
      admission: undefined,
    }
    for (let round = 1; ; round++) {
      try {
        return await oneRound(visit)
      } catch (error) {
        if (!isOvertaken(error) || round === rounds) throw error
      }
    }
  }
}

// Another request of the same device, here or at another replica, was faster: what it left is judged anew.
function isOvertaken(error: unknown): boolean {
  return (
    isOtaError(error) &&
    (error.code === 'JOURNAL_CONFLICT' || error.code === 'FLEET_CONFLICT' || error.code === 'OFFER_CLOSED' || error.code === 'NO_OFFER')
  )
}

function rememberedState({ remembers }: Visit, device: DeviceState, { history }: DeviceRecord): DeviceState {
  if (!remembers || device.installed !== undefined) return device
  const last = history.find(({ outcome }) => outcome === 'confirmed')
  return last === undefined ? device : { ...device, installed: { version: last.version, digest: last.digest, state: 'confirmed' } }
}

function frozenAnswer(answer: CheckInAnswer): CheckInAnswer {
  return Object.freeze({ ...answer, because: Object.freeze(answer.because.map((reason) => Object.freeze(reason))) })
}
