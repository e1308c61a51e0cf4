import { crc32 } from '../../content/crc32.ts'
import type { Digest } from '../../content/digest.ts'
import { OtaError } from '../../errors.ts'
import type { Body } from '../../plugin/cache.ts'
import type { Principal } from '../../plugin/device.ts'
import type { CheckInAnswer, Gateway, Offer, OfferRef, Representation } from '../../plugin/gateway.ts'
import { descriptorOf } from '../content.ts'

/** One call of the gateway, as the transport made it. */
export interface GatewayCall {
  readonly name: 'checkIn' | 'attributes' | 'head' | 'read' | 'sent' | 'report'
  readonly who: Principal
  readonly args: readonly unknown[]
  readonly signal: AbortSignal | undefined
}

/** An image as the suite's gateway hands it out. */
export interface ServedImage {
  readonly bytes: Uint8Array
  /** What is said of it, where that is not true. */
  readonly size?: number
  body?(offset: number, length: number): Body
}

/** A gateway that says what a rule wants, and remembers what it was asked. */
export interface SuiteGateway extends Gateway {
  readonly calls: GatewayCall[]
  /** What a device is told at check-in; the offer of its image where absent. */
  answer: ((who: Principal) => CheckInAnswer) | undefined
  image: (who: Principal) => ServedImage
  /** Before a call is answered: may wait, and may throw. */
  before: (call: GatewayCall) => unknown
}

export function representationOf({ bytes, size = bytes.length }: ServedImage): Representation {
  const descriptor = { ...descriptorOf(bytes), size }
  return { descriptor, fileName: 'image.bin', crc32: crc32(bytes), coding: 'identity' }
}

export function offerOf(image: ServedImage, version = '1.1.0', seq = 7): Offer {
  const representation = representationOf(image)
  const yields: Digest = representation.descriptor.digest
  return { seq, version, mode: 'forced', components: [{ component: 'app', yields, representations: [representation] }] }
}

export function suiteGateway(image: ServedImage): SuiteGateway {
  const noted = async (name: GatewayCall['name'], who: Principal, args: readonly unknown[], signal?: AbortSignal): Promise<void> => {
    const call: GatewayCall = { name, who, args, signal }
    gateway.calls.push(call)
    await gateway.before(call)
  }
  const answered = (who: Principal): CheckInAnswer =>
    gateway.answer?.(who) ?? { offer: offerOf(gateway.image(who)), pollAfterMs: 60_000, because: [] }
  const expectOffer = (who: Principal, offer: OfferRef, component: string | undefined): void => {
    const seq = answered(who).offer?.seq
    if (seq !== undefined && (offer === 'current' || offer === seq) && (component ?? 'app') === 'app') return
    throw new OtaError('NO_OFFER', 'invalid', 'expected the offer of the suite, found another')
  }
  const gateway: SuiteGateway = {
    calls: [],
    answer: undefined,
    image: () => image,
    before: () => undefined,
    async checkIn(who, reported, evidence, options = {}) {
      await noted('checkIn', who, [reported, evidence, options], options.signal)
      return answered(who)
    },
    async attributes(who, data, mode, options = {}) {
      await noted('attributes', who, [data, mode], options.signal)
    },
    async head(who, offer, component, options = {}) {
      await noted('head', who, [offer, component], options.signal)
      expectOffer(who, offer, component)
      return representationOf(gateway.image(who))
    },
    async read(who, offer, component, options = {}) {
      await noted('read', who, [offer, component, options], options.signal)
      expectOffer(who, offer, component)
      const served = gateway.image(who)
      const { bytes, size = bytes.length } = served
      const { offset = 0 } = options
      const length = Math.min(options.length ?? size - offset, size - offset)
      return { representation: representationOf(served), body: served.body?.(offset, length) ?? bytes.subarray(offset, offset + length) }
    },
    async sent(who, offer, component, options = {}) {
      await noted('sent', who, [offer, component], options.signal)
    },
    async report(who, offer, report, options = {}) {
      await noted('report', who, [offer, report], options.signal)
    },
    async health() {
      return { status: 'ok', parts: { registry: { status: 'ok' }, cache: { status: 'ok' }, journal: { status: 'ok' } } }
    },
  }
  return gateway
}
