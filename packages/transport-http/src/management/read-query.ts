import { isJsonObject, type JsonObject, type NewDeployment, type Selector } from '@reflash/core'
import { fail } from '../http-errors.ts'
import { described, invalid, objectMember, textMember } from '../json-body.ts'

/** Devices of one page: some hundred kilobytes. */
export const pageLimit = 500

/** `?after=<device>&limit=<n>&select=site=berlin,paris`; `select` may come several times, then all must hold. @throws `INVALID_QUERY` */
export function deviceQuery(query: string): { readonly after?: string; readonly limit: number; readonly selector?: Selector } {
  const known = new URLSearchParams(query)
  const after = once(known, 'after')
  const limit = once(known, 'limit') ?? String(pageLimit)
  if (!/^[1-9][0-9]{0,3}$/.test(limit) || Number(limit) > pageLimit)
    throw fail('INVALID_QUERY', `limit: expected a number from 1 to ${pageLimit}, found another`)
  const terms = known.getAll('select').map(selectTerm)
  return {
    ...(after === undefined ? {} : { after }),
    limit: Number(limit),
    ...(terms.length === 0 ? {} : { selector: Object.fromEntries(terms) }),
  }
}

function selectTerm(text: string): readonly [string, readonly string[]] {
  const equals = text.indexOf('=')
  if (equals > 0 && equals < text.length - 1) return [text.slice(0, equals), text.slice(equals + 1).split(',')]
  throw fail('INVALID_QUERY', 'select: expected <label>=<value>[,<value>...], found another')
}

function once(query: URLSearchParams, name: string): string | undefined {
  const [value, second] = query.getAll(name)
  if (second !== undefined) throw fail('INVALID_QUERY', `expected the query parameter '${name}' once, found it twice`)
  return value
}

/**
 * The body of `POST /v1/deployments`; the fleet's own checks say the rest.
 *
 * | member | type | meaning |
 * |---|---|---|
 * | id | text | its name |
 * | version | text | what to bring |
 * | selector? | object of lists of texts | which devices |
 * | waves? | list of numbers | ascending percents |
 * | successPercent?, failurePercent?, waveMs? | number | thresholds |
 * | proof? | boolean | only evidence counts |
 *
 * @throws `INVALID_BODY`
 */
export function readNewDeployment(body: JsonObject): NewDeployment {
  const id = textMember(body, 'id', 64)
  const version = textMember(body, 'version', 256)
  if (id === undefined || version === undefined) throw invalid(id === undefined ? 'id' : 'version', 'a text', 'none')
  const selector = objectMember(body, 'selector')
  const { waves, proof } = body
  if (waves !== undefined && !(Array.isArray(waves) && waves.every((percent) => typeof percent === 'number')))
    throw invalid('waves', 'a list of numbers', described(waves))
  if (proof !== undefined && typeof proof !== 'boolean') throw invalid('proof', 'true or false', described(proof))
  return {
    id,
    version,
    ...(selector === undefined ? {} : { selector: selector as Selector }),
    ...(waves === undefined ? {} : { waves: waves as readonly number[] }),
    ...numberMember(body, 'successPercent'),
    ...numberMember(body, 'failurePercent'),
    ...numberMember(body, 'waveMs'),
    ...(proof === undefined ? {} : { proof }),
  }
}

function numberMember<K extends string>(body: JsonObject, name: K): { readonly [N in K]?: number } {
  const value = body[name]
  if (value === undefined) return {}
  if (typeof value !== 'number') throw invalid(name, 'a number', described(value))
  return { [name]: value } as { readonly [N in K]: number }
}

/** `{"labels": {"site": "berlin"}}`. @throws `INVALID_BODY` */
export function readLabels(body: JsonObject): Readonly<Record<string, string>> {
  const { labels } = body
  if (!isJsonObject(labels) || !Object.values(labels).every((value) => typeof value === 'string'))
    throw invalid('labels', 'an object of texts', described(labels))
  return labels as Readonly<Record<string, string>>
}
