import type { HttpRequest } from '../../http-message.ts'

/** A name or address with or without a port: nothing that could end a URL's authority. */
const hostPattern = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$/

/**
 * What precedes the path in URLs that a device is told. This dialect knows no relative ones: `baseUrl` where it is absolute, else what the
 * request says of the way it came. Whoever lies about that fools itself alone: the answer is private to it.
 *
 * | part | from |
 * |---|---|
 * | scheme | X-Forwarded-Proto, else whether it came over TLS |
 * | host | X-Forwarded-Host, else Host |
 * | port | X-Forwarded-Port where the host names none |
 */
export function originOf(request: HttpRequest, baseUrl: string): string {
  if (!baseUrl.startsWith('/') && baseUrl !== '') return baseUrl
  const forwarded = first(request.header('x-forwarded-proto'))?.toLowerCase()
  const scheme = forwarded === 'http' || forwarded === 'https' ? forwarded : request.secure === true ? 'https' : 'http'
  const said = [first(request.header('x-forwarded-host')), request.header('host')].find(
    (host) => host !== undefined && hostPattern.test(host),
  )
  const host = said ?? 'localhost'
  const port = first(request.header('x-forwarded-port'))
  const full = port !== undefined && /^[0-9]{1,5}$/.test(port) && !/:[0-9]+$/.test(host) ? `${host}:${port}` : host
  return `${scheme}://${full}${baseUrl}`
}

/** Each proxy adds to the end: the first is what the device said. */
function first(value: string | undefined): string | undefined {
  return value?.split(',')[0]?.trim()
}
