import { isDigest } from '../content/digest.ts'
import type { Json } from '../content/json.ts'
import { parsePlatform } from '../content/platform.ts'
import { parseReference } from '../content/reference.ts'
import { fail } from '../core-errors.ts'
import { isOtaError } from '../errors.ts'
import { parseVersion } from '../policy/version.ts'
import type { DeviceRecord } from './device-record.ts'

/** Offers are positive int32 on the wire, and one more must be possible. */
const lastSeq = 2 ** 31 - 2

type Fields = { readonly [key: string]: Json }

/**
 * Reads a device's record out of the journal. The journal is not a root of trust: what the rooms cannot derive again is believed, so it is
 * read field by field where code depends on its shape.
 * @throws `FACTS_CORRUPT`
 */
export function parseRecord(deviceId: string, value: Json): DeviceRecord {
  const wrong = problem(value)
  if (wrong === undefined) return value as unknown as DeviceRecord
  throw fail(
    'FACTS_CORRUPT',
    `device ${deviceId}: expected a version 1 record in the journal, found another ${wrong}; restore the journal or delete the entry`,
  )
}

function problem(value: Json): string | undefined {
  if (!isObject(value)) return 'value'
  if (value.v !== 1) return 'version'
  if (!isCount(value.seq) || (value.seq as number) > lastSeq) return 'seq'
  if (!Array.isArray(value.history) || !value.history.every(isClosed)) return 'history'
  if (value.attributes !== undefined && !isObject(value.attributes)) return 'attributes'
  return value.open === undefined ? undefined : openProblem(value.open)
}

function openProblem(open: Json): string | undefined {
  if (!isObject(open)) return 'open'
  const checks: Readonly<Record<string, boolean>> = {
    seq: isCount(open.seq),
    at: isTime(open.at),
    since: isTime(open.since),
    heard: open.heard === undefined || isTime(open.heard),
    stage: open.stage === 'plan' || open.stage === 'deliver' || open.stage === 'install',
    reference: typeof open.reference === 'string' && isPinned(open.reference),
    tag: open.tag === undefined || typeof open.tag === 'string',
    version: typeof open.version === 'string' && parseVersion(open.version) !== undefined,
    digest: isDigest(open.digest),
    target: typeof open.target === 'string',
    policy: typeof open.policy === 'string',
    platforms: Array.isArray(open.platforms) && open.platforms.every((platform) => typeof platform === 'string' && isPlatform(platform)),
    plan: open.plan !== undefined,
    device: isObject(open.device) && isDevice(open.device),
    by: typeof open.by === 'string',
    observations: Array.isArray(open.observations) && open.observations.every(isObservation),
    reports: typeof open.reports === 'boolean',
    told: open.told === undefined || isReport(open.told),
    presented: open.presented === undefined || isPresented(open.presented),
    deployment: open.deployment === undefined || isDeployment(open.deployment),
    cancel: open.cancel === undefined || isAskedToCancel(open.cancel),
  }
  const wrong = Object.keys(checks).find((name) => checks[name] !== true)
  return wrong === undefined ? undefined : `open.${wrong}`
}

/** What was resolved once is asked for by its digest: a tag may have moved meanwhile. */
function isPinned(reference: string): boolean {
  return readOrNone(() => parseReference(reference))?.digest !== undefined
}

function isPlatform(text: string): boolean {
  return readOrNone(() => parsePlatform(text)) !== undefined
}

function readOrNone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isOtaError(error)) return undefined
    throw error
  }
}

function isClosed(entry: Json): boolean {
  return (
    isObject(entry) &&
    isCount(entry.seq) &&
    isDigest(entry.digest) &&
    typeof entry.version === 'string' &&
    typeof entry.outcome === 'string' &&
    Array.isArray(entry.because) &&
    entry.because.every(isReason) &&
    typeof entry.tried === 'boolean' &&
    (entry.deployment === undefined || isDeployment(entry.deployment)) &&
    (entry.attested === undefined || entry.attested === true)
  )
}

function isDeployment(value: Json): boolean {
  return isObject(value) && typeof value.id === 'string' && isCount(value.attempt) && typeof value.proof === 'boolean'
}

function isAskedToCancel(value: Json): boolean {
  if (!isObject(value) || !isTime(value.at) || (value.refused !== undefined && value.refused !== true)) return false
  return Array.isArray(value.because) && value.because.every(isReason)
}

function isObservation(value: Json): boolean {
  if (!isObject(value)) return false
  if (value.by === 'report') return isReport(value.report)
  if (value.by === 'check-in') return isInstalled(value.installed)
  return value.by === 'read-back' && isDigest(value.digest) && isCount(value.size)
}

function isDevice({ model, installed, attributes }: Fields): boolean {
  return isTextOrNone(model) && (installed === undefined || isInstalled(installed)) && (attributes === undefined || isObject(attributes))
}

function isPresented(value: Json): boolean {
  return isObject(value) && [value.mediaType, value.body, value.nonce].every((text) => typeof text === 'string')
}

function isReport(value: Json | undefined): boolean {
  if (!isObject(value) || typeof value.state !== 'string' || !isTextOrNone(value.code)) return false
  return value.messages === undefined || (Array.isArray(value.messages) && value.messages.every((text) => typeof text === 'string'))
}

function isInstalled(value: Json | undefined): boolean {
  if (!isObject(value) || typeof value.version !== 'string' || !isTextOrNone(value.state)) return false
  return value.digest === undefined || isDigest(value.digest)
}

function isReason(value: Json): boolean {
  return isObject(value) && typeof value.code === 'string' && typeof value.message === 'string'
}

function isTextOrNone(value: Json | undefined): boolean {
  return value === undefined || typeof value === 'string'
}

function isCount(value: Json | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isTime(value: Json | undefined): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value))
}

function isObject(value: Json | undefined): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
