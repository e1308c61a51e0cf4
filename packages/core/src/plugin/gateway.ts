import type { Descriptor } from '../content/descriptor.ts'
import type { Digest } from '../content/digest.ts'
import type { Json } from '../content/json.ts'
import type { Reason } from '../errors.ts'
import type { Report } from '../update/observation.ts'
import type { Body } from './cache.ts'
import type { DeviceState, Principal } from './device.ts'
import type { Evidence } from './evidence-verifier.ts'
import type { CallOptions } from './plugin.ts'

/** The bytes of one image as they travel. `base` and `coding` are for deltas. */
export interface Representation {
  readonly descriptor: Descriptor
  readonly fileName: string
  readonly crc32: number
  readonly sha1?: string
  readonly md5?: string
  readonly coding: 'identity' | (string & {})
  readonly base?: Digest
}

/** One image of an offer, and the ways in which it travels. */
export interface OfferedComponent {
  readonly component: string
  /** Digest of the image that the device holds afterwards. */
  readonly yields: Digest
  readonly representations: readonly Representation[]
}

/** What a device is told at check-in. */
export interface Offer {
  /** A positive int32, ascending per device: real clients build URLs with %d. */
  readonly seq: number
  readonly version: string
  readonly mode: 'forced' | 'optional' | 'download-only'
  readonly components: readonly OfferedComponent[]
}

/**
 * What a device is to do next, and why. `wants` evidence comes with a `challenge` that the next check-in answers. `cancel` is the number of an offer
 * that the device has begun and is asked to stop: it reports `canceled` once it has, or `cancel-refused` where it cannot any more and goes on; until
 * then there is no other offer. One that it has not begun is taken back without a word.
 */
export interface CheckInAnswer {
  readonly offer?: Offer
  readonly cancel?: number
  readonly wants?: readonly ('attributes' | 'evidence')[]
  readonly challenge?: Uint8Array
  readonly pollAfterMs: number
  readonly because: readonly Reason[]
}

/**
 * What a dialect's device can tell: `reports` false (OtaFlux) ends its updates as `unobserved` once the image was sent whole; `installed` set to
 * `remembered` (hawkBit) is for devices that never say what they run: what they confirmed last counts as that, and an offer is repeated until the
 * device has ended it, however late.
 */
export interface CheckInOptions extends CallOptions {
  readonly reports?: boolean
  readonly installed?: 'said' | 'remembered'
}

/** The offer by number, or `current`: what the last check-in of this device offered, pinned (OtaFlux: /version, then /firmware). */
export type OfferRef = number | 'current'

/** Which part of an image is read, in which coding. Bytes. */
export interface ReadOptions extends CallOptions {
  readonly offset?: number
  readonly length?: number
  readonly coding?: string
}

/** How the parts of a server do: `stale` is served from what is known. */
export interface Health {
  readonly status: 'ok' | 'degraded'
  readonly parts: Readonly<Record<string, { readonly status: 'ok' | 'stale' | 'down' | 'unknown'; readonly reason?: string }>>
}

/** The door for devices that pull. A transport authenticates; the gateway decides. */
export interface Gateway {
  /** `reported` is what this dialect's device says of itself: all, some, or nothing. */
  checkIn(
    who: Principal,
    reported?: Partial<Omit<DeviceState, 'id'>>,
    evidence?: Evidence,
    options?: CheckInOptions,
  ): Promise<CheckInAnswer>
  attributes(
    who: Principal,
    data: Readonly<Record<string, Json>>,
    mode: 'merge' | 'replace' | 'remove',
    options?: CallOptions,
  ): Promise<void>
  head(who: Principal, offer: OfferRef, component?: string, options?: CallOptions): Promise<Representation>
  read(
    who: Principal,
    offer: OfferRef,
    component?: string,
    options?: ReadOptions,
  ): Promise<{ readonly representation: Representation; readonly body: Body }>
  /** The transport has sent a whole image: what devices that never report leave behind. */
  sent(who: Principal, offer: OfferRef, component?: string, options?: CallOptions): Promise<void>
  report(who: Principal, offer: number, report: Report, options?: CallOptions): Promise<void>
  health(options?: CallOptions): Promise<Health>
}
