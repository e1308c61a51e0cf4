import type { DeviceState, Installed, Json, JsonObject } from '@reflash/core'
import { described, digest, invalid, object, optionalText, text } from './json-message.ts'

/** hawkBit's own quotas, which every dialect of reflash keeps to. */
const attributeLimit = 100
const attributeKeyLimit = 128
const versionLimit = 256
const modelLimit = 128

/** What a device says of itself; who it is says the topic. */
export type SaidState = Partial<Omit<DeviceState, 'id' | 'labels'>>
type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * The members that a check-in and a status have in common.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | model? | text, 1..128 | kind of device |
 * | installed? | object | what it runs |
 * | installed.version | text, 1..256 | |
 * | installed.digest? | `sha256:`, `sha384:` or `sha512:` and lower case hex | of the image |
 * | installed.state? | `pending` or `confirmed` | `pending` until its self-test has kept the image |
 * | attributes? | object, at most 100 members of 1..128 letters, 8 levels | facts |
 */
export function encodeState({ model, installed, attributes }: SaidState): object {
  return {
    model,
    installed: installed && { version: installed.version, digest: installed.digest, state: installed.state },
    attributes,
  }
}

/** @throws `INVALID_MESSAGE` */
export function readState(message: JsonObject): SaidState {
  const said: Mutable<SaidState> = {}
  const model = optionalText(message, 'model', modelLimit)
  if (model !== undefined) said.model = model
  if (message.installed !== undefined) said.installed = readInstalled(object(message, 'installed'))
  if (message.attributes !== undefined) said.attributes = readAttributes(object(message, 'attributes'))
  return said
}

function readInstalled(from: JsonObject): Installed {
  const installed: Mutable<Installed> = { version: text(from, 'version', versionLimit) }
  if (from.digest !== undefined) installed.digest = digest(from, 'digest')
  const { state } = from
  if (state !== undefined) {
    if (state !== 'pending' && state !== 'confirmed') throw invalid('installed.state', 'pending or confirmed', described(state))
    installed.state = state
  }
  return installed
}

function readAttributes(from: JsonObject): Readonly<Record<string, Json>> {
  const keys = Object.keys(from)
  if (keys.length > attributeLimit) throw invalid('attributes', `at most ${attributeLimit} members`, String(keys.length))
  for (const key of keys) {
    if (key.length === 0 || key.length > attributeKeyLimit) {
      throw invalid('attributes', `members of 1 to ${attributeKeyLimit} letters`, `one of ${key.length}`)
    }
  }
  return from as Readonly<Record<string, Json>>
}
