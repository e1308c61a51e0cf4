import { isDeviceId } from '@reflash/core'
import { fail } from '../../http-errors.ts'

/** OtaFlux's own words, sent as they are. */
export const missingDevice = "Missing required query parameter: 'device'"

/**
 * The device id in `?device=X`, form-decoded. OtaFlux reads any repository under its prefix for `device=a/b`; here an id is an id.
 * @throws `INVALID_QUERY`, `INVALID_DEVICE_ID`
 */
export function deviceOfQuery(query: string): string {
  let found: string | undefined
  let start = 0
  while (start <= query.length) {
    const ampersand = query.indexOf('&', start)
    const end = ampersand < 0 ? query.length : ampersand
    if (query.startsWith('device', start) && (start + 6 === end || query[start + 6] === '=')) {
      // Two values may be read as the first by one reader and as the last by another.
      if (found !== undefined) throw fail('INVALID_QUERY', "expected the query parameter 'device' once, found it twice")
      found = query.slice(start + 7, end)
    }
    start = end + 1
  }
  if (found === undefined || found === '') throw fail('INVALID_QUERY', missingDevice)
  const id = found.includes('%') || found.includes('+') ? formDecoded(found) : found
  if (isDeviceId(id)) return id
  throw fail('INVALID_DEVICE_ID', "Invalid query parameter: 'device'")
}

function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw fail('INVALID_QUERY', "expected percent-encoded UTF-8 in the query parameter 'device', found something else")
  }
}
