import { type CheckInAnswer, type Digest, isJsonObject, type JsonObject, type OfferedComponent, type Reason } from '@reflash/core'
import { challengeLimitBytes } from './evidence.ts'
import { base64, described, digest, invalid, list, object, optionalText, text, toBase64, whole } from './json-message.ts'
import { sequenceLimit } from './report.ts'
import { encodeReasons, readReasons } from './wire-error.ts'

/** One image of an offer, as a device is told of it. */
export interface MqttComponent {
  readonly component: string
  /** Digest of the image that the device holds afterwards. */
  readonly yields: Digest
  /** Bytes, digest and CRC-32 of what is downloaded. */
  readonly size: number
  readonly digest: Digest
  readonly crc32: number
  /** Where it is a delta: how it is coded, and against which image. */
  readonly coding?: string
  readonly base?: Digest
  readonly fileName: string
}

export interface MqttOffer {
  readonly seq: number
  readonly version: string
  readonly mode: 'forced' | 'optional' | 'download-only'
  readonly components: readonly MqttComponent[]
}

/** What a device is told at check-in. */
export interface MqttAnswer {
  /** Milliseconds. */
  readonly pollAfterMs: number
  readonly offer?: MqttOffer
  /** The number of an offer that is taken back. */
  readonly cancel?: number
  readonly wants?: readonly string[]
  /** Nonce for the evidence. */
  readonly challenge?: Uint8Array
  readonly because: readonly Reason[]
}

const versionLimit = 256
const componentLimit = 16
const wantsLimit = 8
const modes = ['forced', 'optional', 'download-only'] as const

/**
 * What a device is told at check-in: the member `checkIn` of an answer.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | pollAfterMs | whole number | when to check in again |
 * | offer? | object | an update |
 * | offer.seq | 1..2147483647 | its number for this device, ascending |
 * | offer.version, .mode | text; `forced`, `optional`, `download-only` | |
 * | offer.components[] | 1 to 16 objects | one per image |
 * | .component, .fileName | text | |
 * | .yields | digest | of the image that the device holds afterwards |
 * | .size .digest .crc32 | bytes, digest, unsigned number | of what is downloaded |
 * | .coding? .base? | text, digest | where it is a delta: how it is coded, and against which image |
 * | cancel? | 1..2147483647 | the offer that is taken back |
 * | wants? | list of texts | what the next check-in should hold |
 * | challenge? | base64 | nonce for the evidence |
 * | because? | list of { code, message? } | why this answer |
 */
export function encodeCheckInAnswer({ offer, cancel, wants, challenge, pollAfterMs, because }: CheckInAnswer): object {
  return {
    pollAfterMs,
    offer: offer && { seq: offer.seq, version: offer.version, mode: offer.mode, components: offer.components.map(encodeComponent) },
    cancel,
    wants: wants === undefined || wants.length === 0 ? undefined : wants,
    challenge: challenge && toBase64(challenge),
    because: encodeReasons(because),
  }
}

function encodeComponent({ component, yields, representations }: OfferedComponent): object {
  const plain = representations.find(({ coding, base }) => coding === 'identity' && base === undefined) ?? representations[0]
  if (plain === undefined) return { component, yields }
  const { descriptor, crc32, fileName, coding, base } = plain
  const { size, digest } = descriptor
  return { component, yields, size, digest, crc32, coding: coding === 'identity' ? undefined : coding, base, fileName }
}

/** @throws `INVALID_MESSAGE` */
export function readCheckInAnswer(from: JsonObject): MqttAnswer {
  return {
    pollAfterMs: whole(from, 'pollAfterMs', 0, Number.MAX_SAFE_INTEGER),
    ...(from.offer === undefined ? {} : { offer: readOffer(object(from, 'offer')) }),
    ...(from.cancel === undefined ? {} : { cancel: whole(from, 'cancel', 1, sequenceLimit) }),
    ...(from.wants === undefined ? {} : { wants: readWants(list(from, 'wants', wantsLimit)) }),
    ...(from.challenge === undefined ? {} : { challenge: base64(from, 'challenge', challengeLimitBytes) }),
    because: readReasons(from),
  }
}

function readWants(wants: readonly unknown[]): readonly string[] {
  return wants.map((want) => {
    if (typeof want === 'string' && want.length <= 64) return want
    throw invalid('wants', 'texts', described(want))
  })
}

function readOffer(offer: JsonObject): MqttOffer {
  const mode = modes.find((candidate) => candidate === offer.mode)
  if (mode === undefined) throw invalid('offer.mode', `one of ${modes.join(', ')}`, described(offer.mode))
  const components = list(offer, 'components', componentLimit)
  if (components.length === 0) throw invalid('offer.components', 'at least one', 'none')
  return {
    seq: whole(offer, 'seq', 1, sequenceLimit),
    version: text(offer, 'version', versionLimit),
    mode,
    components: components.map(readComponent),
  }
}

function readComponent(from: unknown): MqttComponent {
  if (!isJsonObject(from)) throw invalid('offer.components', 'objects', described(from))
  const coding = optionalText(from, 'coding', 64)
  return {
    component: text(from, 'component', 64),
    yields: digest(from, 'yields'),
    size: whole(from, 'size', 1, 0xffff_ffff),
    digest: digest(from, 'digest'),
    crc32: whole(from, 'crc32', 0, 0xffff_ffff),
    ...(coding === undefined ? {} : { coding }),
    ...(from.base === undefined ? {} : { base: digest(from, 'base') }),
    fileName: text(from, 'fileName', 256),
  }
}
