import { isDeviceId } from '../content/device-id.ts'
import { isDigest } from '../content/digest.ts'
import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'
import type { DeviceState, Installed, Principal } from '../plugin/device.ts'
import type { Evidence } from '../plugin/evidence-verifier.ts'
import { frozenCopy } from '../update/frozen-copy.ts'
import { quoted } from '../update/quoted.ts'

/** hawkBit's quotas, which its clients keep to: 100 attributes of 128 characters and as many in their values. */
const attributeLimit = 100
const keyLength = 128
/** Characters of all attributes as JSON; hawkBit's quotas make 26,000. */
const attributesLength = 32_768
/** Characters of a version, as in semver's own package. */
const versionLength = 256
/** Bytes of evidence: a DICE chain of eight certificates has ten thousand. */
const evidenceLimitBytes = 65_536
const mediaTypeLength = 128

/** What a device said of itself, as far as it may say anything. */
export type ReportedState = Partial<Omit<DeviceState, 'id'>>

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** @throws `INVALID_STATE` where a principal's device id could not stand in a journal key or a URL */
export function checkPrincipal({ deviceId }: Pick<Principal, 'deviceId'>): void {
  if (!isDeviceId(deviceId)) throw invalid(`a device id of at most 128 letters, digits and . _ : + = @ -, found ${quoted(deviceId)}`)
}

/**
 * Copies what a device may say of itself and leaves out the rest (labels are given to it, not by it): it is stored, and planned by.
 * @throws `INVALID_STATE`
 */
export function readState({ model, installed, attributes }: ReportedState): ReportedState {
  if (model !== undefined && (typeof model !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$/.test(model))) {
    throw invalid(`a model of at most 64 letters, digits and . _ -, found ${quoted(model)}`)
  }
  // Assigned one by one: every check-in of an idle fleet comes through here, and spreads cost more than all the checks.
  const said: Mutable<ReportedState> = {}
  if (model !== undefined) said.model = model
  if (installed !== undefined) said.installed = readInstalled(installed)
  if (attributes !== undefined) said.attributes = readAttributes(attributes)
  return said
}

function readInstalled(installed: Installed): Installed {
  const { version, digest, state } = (installed ?? {}) as Partial<Installed>
  if (typeof version !== 'string' || version.length === 0 || version.length > versionLength)
    throw invalid(`installed.version to be text of 1 to ${versionLength} characters`)
  if (digest !== undefined && !isDigest(digest))
    throw invalid(`installed.digest to be sha256:<64 hex digits> or its like, found ${quoted(digest)}`)
  if (state !== undefined && state !== 'pending' && state !== 'confirmed')
    throw invalid(`installed.state to be pending or confirmed, found ${quoted(state)}`)
  const read: Mutable<Installed> = { version }
  if (digest !== undefined) read.digest = digest
  if (state !== undefined) read.state = state
  return read
}

/** @throws `INVALID_STATE` */
export function readAttributes(data: Readonly<Record<string, Json>>): Readonly<Record<string, Json>> {
  const expected = `at most ${attributeLimit} attributes with keys of at most ${keyLength} characters, ${attributesLength} characters as JSON`
  if (typeof data !== 'object' || data === null || Array.isArray(data)) throw invalid(expected)
  const keys = Object.keys(data)
  if (keys.length > attributeLimit || keys.some((key) => key.length > keyLength)) throw invalid(`${expected}, found ${keys.length}`)
  const sizes = keys.map((key) => jsonLength(data[key]))
  if (sizes.includes(undefined)) throw invalid(`${expected}, found what is no JSON`)
  const total = keys.reduce((sum, key, index) => sum + JSON.stringify(key).length + (sizes[index] as number) + 2, 2)
  if (total > attributesLength) throw invalid(`${expected}, found ${total} characters`)
  return frozenCopy(data)
}

/** @throws `INVALID_STATE` */
export function checkEvidence(evidence: Evidence | undefined): void {
  if (evidence === undefined) return
  const { mediaType, body } = evidence
  if (
    typeof mediaType === 'string' &&
    mediaType.length <= mediaTypeLength &&
    body instanceof Uint8Array &&
    body.length <= evidenceLimitBytes
  )
    return
  throw invalid(`evidence of at most ${evidenceLimitBytes} bytes with a media type of at most ${mediaTypeLength} characters`)
}

function jsonLength(value: unknown): number | undefined {
  try {
    return JSON.stringify(value)?.length
  } catch {
    // A cycle, a bigint, or deeper than the stack.
    return undefined
  }
}

function invalid(expected: string): Error {
  return fail('INVALID_STATE', `expected ${expected}`)
}
