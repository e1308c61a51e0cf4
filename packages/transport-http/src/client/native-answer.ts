import { type Digest, isDigest, isJsonObject, type JsonObject, type Reason } from '@reflash/core'
import { fail } from '../http-errors.ts'
import { parseObject } from '../json-body.ts'

/** One image of an offer, as the server tells it. */
export interface NativeComponent {
  readonly component: string
  /** Digest of the image that the device holds afterwards. */
  readonly yields: Digest
  /** Bytes, digest and CRC-32 of what is downloaded. */
  readonly size: number
  readonly digest: Digest
  readonly crc32: number
  readonly coding?: string
  readonly base?: Digest
  readonly fileName: string
  /** Relative to the server. */
  readonly url: string
}

export interface NativeOffer {
  readonly seq: number
  readonly version: string
  readonly mode: 'forced' | 'optional' | 'download-only'
  readonly components: readonly NativeComponent[]
}

/** What the device is told at check-in. */
export interface NativeAnswer {
  readonly pollAfterMs: number
  readonly offer?: NativeOffer
  readonly cancel?: number
  readonly wants?: readonly string[]
  readonly challenge?: Uint8Array
  readonly because: readonly Reason[]
}

const componentLimit = 16
const textLimit = 4096
const int32 = 2_147_483_647

/** Reads the answer to a check-in; its table stands above the server's codec. @throws `INVALID_ANSWER` */
export function readNativeAnswer(bytes: Uint8Array): NativeAnswer {
  const answer = parsed(bytes)
  const { offer, cancel, wants, challenge } = answer
  if (wants !== undefined && !(Array.isArray(wants) && wants.every((want) => typeof want === 'string'))) throw wrong('wants')
  return {
    pollAfterMs: whole(answer, 'pollAfterMs', 0),
    ...(offer === undefined ? {} : { offer: readOffer(offer) }),
    ...(cancel === undefined ? {} : { cancel: whole(answer, 'cancel', 1, int32) }),
    ...(wants === undefined ? {} : { wants }),
    ...(challenge === undefined ? {} : { challenge: Buffer.from(text(answer, 'challenge'), 'base64') }),
    because: readReasons(answer.because),
  }
}

function parsed(bytes: Uint8Array): JsonObject {
  try {
    return parseObject(bytes)
  } catch (cause) {
    throw fail('INVALID_ANSWER', 'expected a JSON object in the answer to a check-in, found something else', { cause })
  }
}

function readOffer(offer: unknown): NativeOffer {
  if (!isJsonObject(offer)) throw wrong('offer')
  const { mode, components } = offer
  if (mode !== 'forced' && mode !== 'optional' && mode !== 'download-only') throw wrong('offer.mode')
  if (!Array.isArray(components) || components.length === 0 || components.length > componentLimit) throw wrong('offer.components')
  return { seq: whole(offer, 'seq', 1, int32), version: text(offer, 'version'), mode, components: components.map(readComponent) }
}

function readComponent(component: unknown): NativeComponent {
  if (!isJsonObject(component)) throw wrong('offer.components')
  return {
    component: text(component, 'component'),
    yields: digest(component, 'yields'),
    size: whole(component, 'size', 1),
    digest: digest(component, 'digest'),
    crc32: whole(component, 'crc32', 0, 0xffff_ffff),
    ...(component.coding === undefined ? {} : { coding: text(component, 'coding') }),
    ...(component.base === undefined ? {} : { base: digest(component, 'base') }),
    fileName: text(component, 'fileName'),
    url: text(component, 'url'),
  }
}

function readReasons(because: unknown): readonly Reason[] {
  if (because === undefined) return []
  if (!Array.isArray(because)) throw wrong('because')
  return because.map((reason) => {
    if (!isJsonObject(reason)) throw wrong('because')
    return { code: text(reason, 'code'), message: typeof reason.message === 'string' ? reason.message : '' }
  })
}

function whole(object: JsonObject, name: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const value = object[name]
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw wrong(name)
}

function text(object: JsonObject, name: string): string {
  const value = object[name]
  if (typeof value === 'string' && value.length > 0 && value.length <= textLimit) return value
  throw wrong(name)
}

function digest(object: JsonObject, name: string): Digest {
  const value = object[name]
  if (isDigest(value)) return value
  throw wrong(name)
}

function wrong(member: string): Error {
  return fail('INVALID_ANSWER', `${member}: expected it as the native protocol describes it, found something else`)
}
