import { type Measurement, parseJsonObject } from '@reflash/core'
import { fail } from '../dice-errors.ts'
import { type Environment, environmentMembers } from './environment.ts'
import type { Fwid } from './tcb-info.ts'

/** What is known to be good in one environment: RFC 9334, reference values. */
export interface ReferenceValue {
  readonly environment: Environment
  /** All digests that good firmware may show at once; none where only the security version matters. */
  readonly fwids?: readonly Fwid[]
  readonly minSvn?: number
}

/** A file has one entry for each firmware that may run; ten thousand are years of releases of a large fleet. */
const entryLimit = 10_000
const fwidLimit = 64
const textLimit = 256

/**
 * Reads reference values: an array of `{ environment: { vendor, model, layer, index, type }, fwids: [{ hashAlg, digest }], minSvn }`, each
 * member of an environment optional and matched when present.
 * @throws `REFERENCE_VALUES_INVALID`
 */
export function parseReferenceValues(text: string): readonly ReferenceValue[] {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw fail('REFERENCE_VALUES_INVALID', 'reference values: expected JSON, found something else', { cause })
  }
  // JSON.parse keeps the last of equal members: a second environment would take the place of the one that people read.
  parseJsonObject(Buffer.from(`{"referenceValues":${text}}`), (expected, found) =>
    fail('REFERENCE_VALUES_INVALID', `reference values: expected ${expected}, found ${found}`),
  )
  return checkReferenceValues(json)
}

/** @throws `REFERENCE_VALUES_INVALID` */
export function checkReferenceValues(json: unknown): readonly ReferenceValue[] {
  if (!Array.isArray(json) || json.length > entryLimit) throw wrong('', `a list of at most ${entryLimit}`, json)
  return json.map((entry, index) => {
    const at = `[${index}]`
    const { environment, fwids, minSvn } = members(entry, at, ['environment', 'fwids', 'minSvn'])
    if (minSvn !== undefined && !isWhole(minSvn)) throw wrong(`${at}.minSvn`, 'a whole number from 0 on', minSvn)
    return {
      environment: checkEnvironment(environment, `${at}.environment`),
      ...(fwids === undefined ? {} : { fwids: checkFwids(fwids, `${at}.fwids`) }),
      ...(minSvn === undefined ? {} : { minSvn }),
    }
  })
}

/** @throws `REFERENCE_VALUES_INVALID` */
export function checkEnvironment(json: unknown, at: string): Environment {
  const found = members(json, at, environmentMembers)
  for (const name of ['vendor', 'model', 'type'] as const) {
    if (found[name] !== undefined && !isText(found[name])) throw wrong(`${at}.${name}`, `text of 1 to ${textLimit} letters`, found[name])
  }
  if (found.index !== undefined && !isWhole(found.index)) throw wrong(`${at}.index`, 'a whole number from 0 on', found.index)
  if (found.layer !== undefined && !isWhole(found.layer) && !isText(found.layer))
    throw wrong(`${at}.layer`, 'a number or a name', found.layer)
  return { ...found } as Environment
}

const digits: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 }

function checkFwids(json: unknown, at: string): readonly Fwid[] {
  if (!Array.isArray(json) || json.length > fwidLimit) throw wrong(at, `a list of at most ${fwidLimit}`, json)
  return json.map((fwid, index) => {
    const { hashAlg, digest } = members(fwid, `${at}[${index}]`, ['hashAlg', 'digest'])
    const length = typeof hashAlg === 'string' && Object.hasOwn(digits, hashAlg) ? digits[hashAlg] : undefined
    if (length === undefined) throw wrong(`${at}[${index}].hashAlg`, 'sha256, sha384 or sha512', hashAlg)
    if (typeof digest !== 'string' || digest.length !== length || !/^[0-9a-f]*$/i.test(digest)) {
      throw wrong(`${at}[${index}].digest`, `${length} hex digits`, digest)
    }
    return { hashAlg: hashAlg as string, digest: digest.toLowerCase() }
  })
}

/** What a release declares, as reference values. */
export function referencesOf(measurements: readonly Measurement[]): readonly ReferenceValue[] {
  return measurements.map(({ environment, digests, svn }) => ({
    environment: environment as Environment,
    fwids: digests,
    ...(svn === undefined ? {} : { minSvn: svn }),
  }))
}

function members(json: unknown, at: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw wrong(at, 'an object', json)
  // A mistyped member would be a condition that is never checked.
  for (const name of Object.keys(json)) if (!known.includes(name)) throw wrong(at, `only ${known.join(', ')}`, name)
  return json as Readonly<Record<string, unknown>>
}

const isWhole = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const isText = (value: unknown): boolean => typeof value === 'string' && value.length > 0 && value.length <= textLimit

function wrong(at: string, expected: string, found: unknown): Error {
  const shown = found === undefined ? 'nothing' : (JSON.stringify(found) ?? typeof found).slice(0, 80)
  return fail('REFERENCE_VALUES_INVALID', `reference values${at}: expected ${expected}, found ${shown}`)
}
