import { fail } from './http-errors.ts'

/** Reads `host:port`, `[ipv6]:port` or `:port` (every interface). @throws `INVALID_OPTION` */
export function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = typeof text === 'string' ? /^(?:\[(?<six>[0-9A-Fa-f:.]+)\]|(?<host>[A-Za-z0-9._-]*)):(?<port>[0-9]{1,5})$/.exec(text) : null
  const port = Number(match?.groups?.port)
  if (match === null || port > 65_535) {
    throw fail(
      'INVALID_OPTION',
      `listen: expected host:port such as 127.0.0.1:8080 or [::1]:8080, found ${typeof text === 'string' ? JSON.stringify(text.slice(0, 100)) : typeof text}`,
    )
  }
  return { host: match.groups?.six ?? (match.groups?.host || '::'), port }
}
