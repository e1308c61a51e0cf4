import { coreError, type OtaError } from '@reflash/core'
import { fail } from '../oci-errors.ts'
import type { HttpAnswer } from './http-exchange.ts'

/** Enough for every error document seen; the rest of a hostile one is not read. */
const errorBodyLimit = 16_384

/** OCI distribution spec, error codes; and docker-registry's own. Only these are shown: free text could echo our credentials. */
const knownCodes = new Set([
  'BLOB_UNKNOWN',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
  'DENIED',
  'DIGEST_INVALID',
  'MANIFEST_BLOB_UNKNOWN',
  'MANIFEST_INVALID',
  'MANIFEST_UNKNOWN',
  'MANIFEST_UNVERIFIED',
  'NAME_INVALID',
  'NAME_UNKNOWN',
  'PAGINATION_NUMBER_INVALID',
  'SIZE_INVALID',
  'TAG_INVALID',
  'TOOMANYREQUESTS',
  'UNAUTHORIZED',
  'UNAVAILABLE',
  'UNKNOWN',
  'UNSUPPORTED',
])

/** A header's value; the first where it came twice. */
export function headerOf(answer: Pick<HttpAnswer, 'headers'>, name: string): string | undefined {
  const value = answer.headers[name]
  return typeof value === 'string' ? value : value?.[0]
}

/** The media type of an answer, without parameters, in lower case. */
export function contentTypeOf(answer: Pick<HttpAnswer, 'headers'>): string {
  return (headerOf(answer, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

/** Content-Length in bytes, where it can be read. */
export function contentLengthOf(answer: Pick<HttpAnswer, 'headers'>): number | undefined {
  const text = headerOf(answer, 'content-length')
  const bytes = text !== undefined && /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** A URL for people: without its query and user info, which hold tokens and signatures. */
export function shownUrl(url: URL): string {
  return `${url.origin}${url.pathname.length > 300 ? `${url.pathname.slice(0, 300)}…` : url.pathname}`
}

/** Makes the error that stands for an answer nobody hoped for. `what` names the request. */
export async function refusalOf(answer: HttpAnswer, url: URL, what: string): Promise<OtaError> {
  const codes = await errorCodesOf(answer)
  const { status } = answer
  const found = `${status}${codes.length === 0 ? '' : ` ${codes.join(', ')}`} from ${shownUrl(url)}`
  const details = { status, host: url.host, ...(codes.length === 0 ? {} : { codes }) }
  if (status === 401 || status === 403) return fail('REGISTRY_DENIED', `${what}: expected leave, found ${found}`, { details })
  if (status === 404) return coreError('NOT_FOUND', `${what}: expected it to exist, found ${found}`, { details })
  if (status === 408 || status === 429 || status >= 500) {
    const retryAfterMs = retryAfterOf(answer)
    const more = retryAfterMs === undefined ? details : { ...details, retryAfterMs }
    if (status === 429) return fail('REGISTRY_BUSY', `${what}: expected an answer, found ${found}; try again later`, { details: more })
    return coreError('REGISTRY_UNAVAILABLE', `${what}: expected an answer, found ${found}; try again later`, { details: more })
  }
  const hint = status === 400 && url.protocol === 'http:' && codes.length === 0 ? '; if it speaks TLS, set plainHttp to false' : ''
  if (status >= 400) return fail('REGISTRY_REFUSED', `${what}: expected success, found ${found}${hint}`, { details })
  return fail('REGISTRY_PROTOCOL', `${what}: expected another status, found ${found}`, { details })
}

/** Retry-After in milliseconds. A date counts from the server's own clock, so that ours does not matter. */
function retryAfterOf(answer: Pick<HttpAnswer, 'headers'>): number | undefined {
  const text = headerOf(answer, 'retry-after')
  if (text === undefined) return undefined
  if (/^[0-9]{1,9}$/.test(text)) return Number(text) * 1000
  const wait = Date.parse(text) - Date.parse(headerOf(answer, 'date') ?? '')
  return Number.isFinite(wait) && wait >= 0 ? wait : undefined
}

async function errorCodesOf(answer: HttpAnswer): Promise<readonly string[]> {
  const text = await startOf(answer)
  try {
    const document: unknown = JSON.parse(text)
    const errors = (document as { errors?: unknown } | null)?.errors
    if (!Array.isArray(errors)) return []
    const codes = errors.slice(0, 8).map((error) => (error as { code?: unknown } | null)?.code)
    return codes.filter((code): code is string => typeof code === 'string' && knownCodes.has(code))
  } catch {
    return []
  }
}

async function startOf(answer: HttpAnswer): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  try {
    for await (const chunk of answer.body) {
      text += decoder.decode(chunk, { stream: true })
      if (text.length > errorBodyLimit) break
    }
  } catch {
    // The status has said enough.
  }
  return text
}
