import { isLoopback, mayBeThisMachine, speaksPlainHttp } from './remote-repository.ts'

/**
 * Why a client at `from` must not go where the server points it (redirect, token realm, upload location); undefined where it may.
 * Another host over https may be followed, without credentials: registries keep blobs elsewhere.
 */
export function mayNotFollow(from: URL, to: URL, plainHttp: boolean | readonly string[] | undefined): string | undefined {
  if (to.protocol !== 'https:' && to.protocol !== 'http:') return `${to.protocol} is not http`
  if (holdsCredentials(to)) return 'it holds credentials'
  // A public registry must not make a server knock on its own internal ports (server-side request forgery).
  if (mayBeThisMachine(to) && !isLoopback(from)) return `${to.host} is this machine, and ${from.host} is not`
  if (to.protocol === 'https:') return undefined
  if (from.protocol === 'https:') return 'it leads from https to http'
  return speaksPlainHttp(to, plainHttp) ? undefined : `${to.host} is not named in plainHttp`
}

/** Whether a URL brings a user name or a password: whoever wrote it makes us send what they have chosen, or shows us somebody's secret. */
export function holdsCredentials({ username, password }: URL): boolean {
  return username !== '' || password !== ''
}
