import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'
import type { DeviceState } from '../plugin/device.ts'
import type { Report } from '../update/observation.ts'

/** hawkBit's quotas, which its clients keep to: 100 attributes, keys and text of 128 characters; ours may be a little longer. */
const attributeLimit = 100
const keyLength = 128
const textLength = 1024
/** Messages of one report that are kept. */
const messageLimit = 50

const states: ReadonlySet<string> = new Set<Report['state']>([
  'downloading',
  'downloaded',
  'installing',
  'installed',
  'confirmed',
  'failed',
  'rejected',
  'canceled',
  'rolled-back',
])

/** @throws `INVALID_REPORT` */
export function checkReport({ state, received, code, messages }: Report): void {
  const bad = (what: string): Error => fail('INVALID_REPORT', `expected ${what}`)
  if (!states.has(state)) throw bad(`state to be one of ${[...states].join(', ')}; found ${JSON.stringify(String(state).slice(0, 100))}`)
  if (received !== undefined && !(Number.isSafeInteger(received) && received >= 0)) throw bad('received to be a number of bytes')
  if (code !== undefined && (typeof code !== 'string' || code.length > textLength))
    throw bad(`code to be text of at most ${textLength} characters`)
  if (messages === undefined) return
  if (
    !Array.isArray(messages) ||
    messages.length > messageLimit ||
    messages.some((text) => typeof text !== 'string' || text.length > textLength)
  ) {
    throw bad(`messages to be at most ${messageLimit} texts of at most ${textLength} characters`)
  }
}

/** @throws `INVALID_STATE` */
export function checkState({ model, installed, attributes }: Partial<Omit<DeviceState, 'id'>>): void {
  if (model !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$/.test(model)) {
    throw fail(
      'INVALID_STATE',
      `expected a model of at most 64 letters, digits and . _ -, found ${JSON.stringify(String(model).slice(0, 100))}`,
    )
  }
  if (
    installed !== undefined &&
    (typeof installed.version !== 'string' || installed.version.length === 0 || installed.version.length > 256)
  ) {
    throw fail('INVALID_STATE', 'expected installed.version to be text of 1 to 256 characters')
  }
  if (attributes !== undefined) checkAttributes(attributes)
}

/** @throws `INVALID_STATE` */
export function checkAttributes(data: Readonly<Record<string, Json>>): Readonly<Record<string, Json>> {
  const entries = Object.entries(data)
  const bad =
    entries.length > attributeLimit || entries.some(([key, value]) => key.length > keyLength || JSON.stringify(value).length > textLength)
  if (!bad) return data
  throw fail(
    'INVALID_STATE',
    `expected at most ${attributeLimit} attributes, keys of at most ${keyLength} and values of at most ${textLength} characters`,
  )
}
