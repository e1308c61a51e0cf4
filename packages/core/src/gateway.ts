import { chooseRelease, repositoryOf, targetOf, upToDate } from './catalog/choose-release.ts'
import { createPins } from './catalog/pins.ts'
import type { Snapshot } from './catalog/release-catalog.ts'
import { type Composition, compose, type ReflashOptions } from './composition.ts'
import { annotations } from './content/media-types.ts'
import { fail } from './core-errors.ts'
import { isOtaError, type Reason } from './errors.ts'
import { checkAttributes, checkReport, checkState } from './journey/bounds.ts'
import { issueNonce, takeNonce } from './journey/challenge.ts'
import { type DeviceRecord, loadRecord, type OpenUpdate } from './journey/device-record.ts'
import { createJourneys } from './journey/journeys.ts'
import { newUpdate } from './journey/open-update.ts'
import type { DeviceState, Principal } from './plugin/device.ts'
import type { Evidence } from './plugin/evidence-verifier.ts'
import type { CheckInAnswer, CheckInOptions, Gateway, Health, Offer, OfferRef, Representation } from './plugin/gateway.ts'
import { admit } from './update/admit.ts'
import type { Admitted, Planned, Presented } from './update/device-line.ts'
import { plan } from './update/plan.ts'
import { imageOf, type Release } from './update/release-line.ts'

/** The gateway of a composition, and what belongs to its life. */
export interface RunningGateway extends Gateway {
  readonly composition: Composition
}

const never = new AbortController().signal

/**
 * Makes the door for devices that pull: it decides what each is offered and judges what each shows, through the same rooms as a push.
 * @throws `INVALID_COMPOSITION`
 */
export function createGateway(from: ReflashOptions | Composition): RunningGateway {
  const composition = 'catalog' in from ? from : compose(from)
  const { catalog, policy, targets, journal, clock, random, pollMs, options } = composition
  const journeys = createJourneys(composition)
  const pins = createPins()
  const upToDateAnswer: CheckInAnswer = Object.freeze({ pollAfterMs: pollMs, because: [{ code: 'UP_TO_DATE', message: 'nothing newer' }] })

  async function checkIn(
    who: Principal,
    reported: Partial<Omit<DeviceState, 'id'>> = {},
    evidence?: Evidence,
    o: CheckInOptions = {},
  ): Promise<CheckInAnswer> {
    const signal = o.signal ?? never
    checkState(reported)
    let stored = await loadRecord(journal, who.deviceId)
    const device = stateOf(who, reported, stored.record)
    // A dialect that tells nothing cannot move an update on: it is told what is current, whatever is open.
    if (stored.record.open !== undefined && o.reports !== false) {
      const answer = await goOn(who, device, evidence, signal)
      if (answer !== undefined) return answer
      stored = await loadRecord(journal, who.deviceId)
    }
    const listed = catalog.versions(repositoryOf(options.repository, device), signal)
    const snapshot = listed instanceof Promise ? await listed : listed
    if (upToDate(snapshot, device)) return upToDateAnswer
    const admission = await admitted(who, device, evidence, signal)
    if ('answer' in admission) return admission.answer
    const seq = stored.record.seq + 1
    const { planned, because } = await choose(device, stored.record, snapshot, admission.proof, seq, signal)
    if (planned === undefined) return { pollAfterMs: pollMs, because }
    if (o.reports === false) pins.set(device.id, { planned, seq })
    else {
      const how = { reports: true, presented: admission.presented }
      await journeys.open(device.id, stored, newUpdate(seq, planned, targetOf(device, targets), how))
    }
    return { offer: offerOf(seq, planned.release), pollAfterMs: pollMs, because: planned.because }
  }

  /** The plan of the best release for a device, or why there is none. */
  async function choose(
    device: DeviceState,
    record: DeviceRecord,
    snapshot: Snapshot,
    proof: Admitted,
    seq: number,
    signal: AbortSignal,
  ): Promise<{ readonly planned?: Planned; readonly because: readonly Reason[] }> {
    let planned: Planned | undefined
    const repository = repositoryOf(options.repository, device)
    const target = targetOf(device, targets)
    const refuses = (release: Release): readonly Reason[] => {
      try {
        planned = plan(`${device.id}/${seq}`, proof, release, target)
        return []
      } catch (error) {
        if (isOtaError(error) && error.code === 'PLAN_REFUSED') return error.because
        throw error
      }
    }
    const choice = await chooseRelease(device, record, { snapshot, repository, target, catalog, policy, signal, refuses })
    return 'because' in choice || planned === undefined ? { because: 'because' in choice ? choice.because : [] } : { planned, because: [] }
  }

  // An open update: what the device shows may move it on; otherwise the same offer stands.
  async function goOn(
    who: Principal,
    device: DeviceState,
    evidence: Evidence | undefined,
    signal: AbortSignal,
  ): Promise<CheckInAnswer | undefined> {
    const result = await journeys.seen(who, device, evidence, () => takeNonce(journal, who.deviceId, 'confirm'), signal)
    const { open } = result.record
    if (open === undefined || result.planned === undefined) return undefined
    if (result.challenge) {
      const challenge = await issueNonce(journal, who.deviceId, 'confirm', random, clock())
      return { wants: ['evidence'], challenge, pollAfterMs: pollMs, because: result.because }
    }
    if (open.stage === 'install') return { pollAfterMs: pollMs, because: result.because }
    if (await withdrawn(device, result.record, open, result.planned, signal)) {
      await journeys.supersede(who.deviceId, open.seq)
      return undefined
    }
    return { offer: offerOf(open.seq, result.planned.release), pollAfterMs: pollMs, because: result.because }
  }

  // The device has not begun, and this release is no longer the one it would be offered: a newer one came, or it was taken back.
  async function withdrawn(
    device: DeviceState,
    record: DeviceRecord,
    open: OpenUpdate,
    was: Planned,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (open.stage !== 'plan' || open.told !== undefined) return false
    try {
      const snapshot = await catalog.versions(repositoryOf(options.repository, device), signal)
      if (upToDate(snapshot, device)) return true
      const { planned, because } = await choose(device, record, snapshot, was.admitted, open.seq, signal)
      if (planned === undefined) return !because.some(({ code }) => code === 'PREPARING' || code === 'REGISTRY_SILENT')
      return imageOf(planned.release).image.descriptor.digest !== open.digest
    } catch (error) {
      // While nothing better is known, the offer stands.
      if (isOtaError(error) && error.fault === 'unavailable') return false
      throw error
    }
  }

  async function admitted(
    who: Principal,
    device: DeviceState,
    evidence: Evidence | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly proof: Admitted; readonly presented?: Presented } | { readonly answer: CheckInAnswer }> {
    const context = { signal, now: clock() }
    if (policy.attestation === 'none') return { proof: await admit(device, who, undefined, composition, context) }
    const nonce = evidence === undefined ? undefined : await takeNonce(journal, device.id, 'admit')
    if (evidence === undefined || nonce === undefined) {
      const challenge = await issueNonce(journal, device.id, 'admit', random, clock())
      const message =
        evidence === undefined ? 'evidence is needed before an update' : 'the evidence is for no open challenge; here is a new one'
      return { answer: { wants: ['evidence'], challenge, pollAfterMs: pollMs, because: [{ code: 'EVIDENCE_REQUIRED', message }] } }
    }
    const presented = { evidence, nonce }
    return { proof: await admit(device, who, presented, composition, context), presented }
  }

  /** What an offer number, or the pin of a device that does not report, stands for. */
  async function offered(who: Principal, ref: OfferRef, component: string | undefined, signal: AbortSignal): Promise<Release> {
    const release = ref === 'current' ? (await pinned(who, signal)).planned.release : await journeys.releaseOf(who.deviceId, ref, signal)
    const named = component === undefined || component === imageOf(release).component
    if (!named)
      throw fail('NO_OFFER', `device ${who.deviceId}: expected component ${imageOf(release).component}, found ${JSON.stringify(component)}`)
    return release
  }

  async function pinned(who: Principal, signal: AbortSignal): Promise<NonNullable<ReturnType<typeof pins.get>>> {
    const known = pins.get(who.deviceId)
    if (known !== undefined) return known
    const { because } = await checkIn(who, {}, undefined, { signal, reports: false })
    const pin = pins.get(who.deviceId)
    if (pin !== undefined) return pin
    throw fail('NO_OFFER', `device ${who.deviceId}: expected an offer, found none: ${because.map(({ message }) => message).join('; ')}`, {
      because,
    })
  }

  return Object.freeze<RunningGateway>({
    composition,
    checkIn,
    head: async (who, ref, component, o = {}) => representationOf(await offered(who, ref, component, o.signal ?? never)),
    read: async (who, ref, component, o = {}) => {
      const release = await offered(who, ref, component, o.signal ?? never)
      if (ref === 'current') {
        const { planned, seq } = await pinned(who, o.signal ?? never)
        const target = targetOf(planned.admitted.device, targets)
        await journeys.begin(who.deviceId, newUpdate(seq, planned, target, { reports: false }))
      }
      const { offset = 0, length } = o
      return {
        representation: representationOf(release),
        body: imageOf(release).image.body({ offset, ...(length === undefined ? {} : { length }) }),
      }
    },
    sent: async (who, ref) => {
      if (ref === 'current') await journeys.unheard(who.deviceId)
    },
    report: async (who, seq, report) => {
      checkReport(report)
      await journeys.report(who, seq, report, never)
    },
    attributes: async (who, data, mode) => journeys.attributes(who.deviceId, checkAttributes(data), mode),
    health: async () => healthOf(composition),
  })
}

function stateOf({ deviceId }: Principal, reported: Partial<Omit<DeviceState, 'id'>>, { attributes }: DeviceRecord): DeviceState {
  if (attributes === undefined) return { ...reported, id: deviceId }
  return { ...reported, attributes: { ...attributes, ...reported.attributes }, id: deviceId }
}

const representations = new WeakMap<Release, Representation>()

function representationOf(release: Release): Representation {
  const known = representations.get(release)
  if (known !== undefined) return known
  const { image, component } = imageOf(release)
  const { descriptor, crc32 } = image
  const made: Representation = Object.freeze({
    descriptor,
    fileName: fileNameOf(descriptor.annotations?.[annotations.title], component),
    crc32,
    coding: 'identity',
  })
  representations.set(release, made)
  return made
}

// A title comes from the registry and goes into a header: keep what is harmless.
function fileNameOf(title: string | undefined, component: string): string {
  const name = (title ?? '')
    .replace(/^.*[/\\]/, '')
    .replace(/[^A-Za-z0-9._+-]/g, '_')
    .replace(/^\.+/, '')
    .slice(0, 128)
  return name === '' ? `${component}.bin` : name
}

function offerOf(seq: number, release: Release): Offer {
  const representation = representationOf(release)
  return {
    seq,
    version: release.held.verified.version,
    mode: 'forced',
    components: [{ component: imageOf(release).component, yields: representation.descriptor.digest, representations: [representation] }],
  }
}

async function healthOf({ seen, journal }: Composition): Promise<Health> {
  const told = (reason: readonly Reason[]): string => reason.map(({ code, message }) => `${code}: ${message}`).join('; ')
  const part = (last: (typeof seen)['cache'], down: 'stale' | 'down'): Health['parts'][string] =>
    last === undefined ? { status: 'unknown' } : last === 'ok' ? { status: 'ok' } : { status: down, reason: told(last.because) }
  const journalPart = await journal.get('health').then(
    () => ({ status: 'ok' as const }),
    (error: unknown) => ({ status: 'down' as const, reason: isOtaError(error) ? told(error.because) : 'the journal failed' }),
  )
  const parts = { registry: part(seen.registry, 'stale'), cache: part(seen.cache, 'down'), journal: journalPart }
  const bad = Object.values(parts).some(({ status }) => status === 'down' || status === 'stale')
  return { status: bad ? 'degraded' : 'ok', parts }
}
