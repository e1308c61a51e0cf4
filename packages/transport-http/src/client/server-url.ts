import { fail } from '../http-errors.ts'

/** The URL of a server as clients are told it, without a slash at its end. @throws `INVALID_OPTION` */
export function serverUrl(text: string): { readonly href: string; readonly origin: string } {
  const url = URL.parse(text)
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw fail('INVALID_OPTION', 'server: expected http(s)://host[:port][/prefix] without credentials and query, found something else')
  }
  return { href: `${url.origin}${url.pathname.replace(/\/+$/, '')}`, origin: url.origin }
}
