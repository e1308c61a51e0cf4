import { crc32 } from 'node:zlib'
import {
  type Body,
  type CheckInAnswer,
  type CheckInOptions,
  type DeviceState,
  type Digest,
  digestOf,
  type Evidence,
  type Gateway,
  type Health,
  type Offer,
  type OfferRef,
  OtaError,
  type Principal,
  type Report,
  type Representation,
  streamOf,
} from '@reflash/core'

export interface FakeImage {
  readonly bytes: Uint8Array
  /** Where the same bytes lie on disk, for `form: 'file'`. */
  readonly path?: string
  readonly form?: 'memory' | 'file' | 'stream'
}

export interface FakeGateway extends Gateway {
  /** What was called, in order. */
  readonly calls: { readonly name: string; readonly deviceId: string; readonly args: readonly unknown[] }[]
  /** Changed by tests between calls. */
  answer: CheckInAnswer
  image: FakeImage
  healthNow: Health
  /** Thrown by every call while set. */
  failure: unknown
}

export const idle: CheckInAnswer = Object.freeze({
  pollAfterMs: 300_000,
  because: Object.freeze([{ code: 'UP_TO_DATE', message: '1.1.0 is the newest' }]),
})

export function representationOf(bytes: Uint8Array, fileName = 'firmware.bin'): Representation {
  return {
    descriptor: { mediaType: 'application/octet-stream', digest: digestOf(bytes), size: bytes.length },
    fileName,
    crc32: crc32(bytes),
    coding: 'identity',
  }
}

export function offerOf(bytes: Uint8Array, version = '1.1.0', seq = 7): Offer {
  const representation = representationOf(bytes)
  return {
    seq,
    version,
    mode: 'forced',
    components: [{ component: 'app', yields: representation.descriptor.digest as Digest, representations: [representation] }],
  }
}

/** A gateway that says what a test wants, and remembers what it was asked. */
export function fakeGateway(image: FakeImage = { bytes: new Uint8Array(1000).fill(7) }): FakeGateway {
  const gateway: FakeGateway = {
    calls: [],
    answer: { offer: offerOf(image.bytes), pollAfterMs: 60_000, because: [] },
    image,
    healthNow: { status: 'ok', parts: { registry: { status: 'ok' }, cache: { status: 'ok' }, journal: { status: 'ok' } } },
    failure: undefined,
    async checkIn(who: Principal, reported?: Partial<Omit<DeviceState, 'id'>>, evidence?: Evidence, options?: CheckInOptions) {
      note('checkIn', who, [reported, evidence, options])
      return gateway.answer
    },
    async attributes(who, ...args) {
      note('attributes', who, args)
    },
    async head(who, offer, component) {
      note('head', who, [offer, component])
      known(offer, component)
      return representationOf(gateway.image.bytes)
    },
    async read(who, offer, component, options = {}) {
      note('read', who, [offer, component, options])
      known(offer, component)
      const { offset = 0, length = gateway.image.bytes.length - offset } = options
      return { representation: representationOf(gateway.image.bytes), body: bodyOf(gateway.image, offset, length) }
    },
    async sent(who, offer, component) {
      note('sent', who, [offer, component])
    },
    async report(who: Principal, offer: number, report: Report) {
      note('report', who, [offer, report])
    },
    async health() {
      return gateway.healthNow
    },
  }

  function note(name: string, who: Principal, args: readonly unknown[]): void {
    if (gateway.failure !== undefined) throw gateway.failure
    gateway.calls.push({ name, deviceId: who.deviceId, args })
  }

  function known(offer: OfferRef, component: string | undefined): void {
    const { offer: current } = gateway.answer
    if (current !== undefined && (offer === 'current' || offer === current.seq) && (component ?? 'app') === 'app') return
    throw new OtaError('OFFER_NOT_FOUND', 'invalid', 'expected a current offer, found none')
  }

  return gateway
}

function bodyOf({ bytes, path, form = 'memory' }: FakeImage, offset: number, length: number): Body {
  if (form === 'file') return { path: path as string, offset, length }
  const part = bytes.subarray(offset, offset + length)
  return form === 'stream' ? streamOf(part) : part
}
