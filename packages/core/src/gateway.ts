import { targetOf } from './catalog/target-of.ts'
import { type Composition, compose, type ReflashOptions } from './composition.ts'
import { throwIfAborted } from './content/abort.ts'
import { fail } from './core-errors.ts'
import { createCheckIn } from './gateway/check-in.ts'
import { healthOf } from './gateway/health-of.ts'
import { createPins, type Pin } from './gateway/pins.ts'
import { representationOf } from './gateway/representation.ts'
import { beginUpdate, changeAttributes, endUnheard, journeyContext, releaseOf, reportUpdate } from './journey/journeys.ts'
import { type NewUpdate, newUpdate } from './journey/open-update.ts'
import { readReport } from './journey/read-report.ts'
import { loadRecord } from './journey/record-store.ts'
import { checkPrincipal, readAttributes } from './journey/reported-state.ts'
import type { Principal } from './plugin/device.ts'
import type { Gateway } from './plugin/gateway.ts'
import { quoted } from './update/quoted.ts'
import { imageOf, type Release } from './update/release-line.ts'

/** The gateway of a composition, and what belongs to its life. */
export interface RunningGateway extends Gateway {
  readonly composition: Composition
}

const never = new AbortController().signal

/**
 * Makes the door for devices that pull: it decides what each is offered and judges what each shows, through the same rooms as a push.
 * A report counts once it is begun: its signal is heeded before, and not while it is written.
 * @throws `INVALID_COMPOSITION`
 * @example
 * const gateway = createGateway(composition)
 * const { offer, because } = await gateway.checkIn(who, { model: 'board', installed: { version: '1.0.0' } })
 * if (offer !== undefined) {
 *   const { body, representation } = await gateway.read(who, offer.seq)
 *   await gateway.report(who, offer.seq, { state: 'installed' })
 * }
 */
export function createGateway(from: ReflashOptions | Composition): RunningGateway {
  const composition = 'catalog' in from ? from : compose(from)
  const { policy, targets, clock, journal, members } = composition
  const context = journeyContext(composition)
  const pins = createPins(clock)
  const checkIn = createCheckIn(composition, context, pins)

  /** What the last check-in of a silent device told it, or what one now would tell it. */
  async function pinned(who: Principal, signal: AbortSignal): Promise<Pin> {
    const known = pins.get(who.deviceId)
    if (known !== undefined && (await stands(who, known, signal))) return known
    const { because } = await checkIn(who, {}, undefined, { signal, reports: false })
    const pin = pins.get(who.deviceId)
    if (pin !== undefined) return pin
    const why = because.map(({ message }) => message).join('; ')
    throw fail('NO_OFFER', `device ${who.deviceId}: expected an offer, found none: ${why}`, { because })
  }

  // It was told of it before its deployment was paused or aborted: what is not downloading yet is held back.
  async function stands({ deviceId }: Principal, { planned, deployment }: Pin, signal: AbortSignal): Promise<boolean> {
    if (members === undefined) return true
    const { is } = await members.standing(planned.admitted.device, { deployment }, signal)
    if (is === 'stands') return true
    const { open } = (await loadRecord(journal, deviceId, signal)).record
    return open?.reports === false && open.digest === imageOf(planned.release).image.descriptor.digest
  }

  return Object.freeze<RunningGateway>({
    composition,
    checkIn,
    async head(who, ref, component, { signal = never } = {}) {
      checkPrincipal(who)
      const release = ref === 'current' ? (await pinned(who, signal)).planned.release : await releaseOf(context, who.deviceId, ref, signal)
      expectComponent(who, release, component)
      return representationOf(release)
    },
    async read(who, ref, component, { signal = never, offset = 0, length } = {}) {
      checkPrincipal(who)
      const pin = ref === 'current' ? await pinned(who, signal) : undefined
      const release = pin === undefined ? await releaseOf(context, who.deviceId, ref as number, signal) : pin.planned.release
      expectComponent(who, release, component)
      const body = imageOf(release).image.body({ offset, ...(length === undefined ? {} : { length }) })
      if (pin !== undefined) {
        const { planned, seq, deployment } = pin
        const target = targetOf(planned.admitted.device, targets)
        const make = (): NewUpdate => newUpdate(seq, planned, target, { reports: false, policy: policy.revision, deployment })
        await beginUpdate(context, who.deviceId, imageOf(release).image.descriptor.digest, make, planned.because)
      }
      return { representation: representationOf(release), body }
    },
    async sent(who, ref) {
      checkPrincipal(who)
      if (ref === 'current') await endUnheard(context, who.deviceId, true)
    },
    async report(who, seq, report, { signal } = {}) {
      checkPrincipal(who)
      const told = readReport(report)
      throwIfAborted(signal)
      await reportUpdate(context, who, seq, told, never)
    },
    async attributes(who, data, mode, { signal } = {}) {
      checkPrincipal(who)
      const read = readAttributes(data)
      throwIfAborted(signal)
      await changeAttributes(context, who.deviceId, read, mode)
    },
    health: async (options = {}) => healthOf(composition, options),
  })
}

function expectComponent({ deviceId }: Principal, release: Release, component: string | undefined): void {
  const { component: only } = imageOf(release)
  if (component !== undefined && component !== only)
    throw fail('NO_OFFER', `device ${deviceId}: expected component ${only}, found ${quoted(component)}`)
}
