import { coreError } from '@reflash/core'

/** One repository of a remote registry. */
export interface RemoteRepository {
  /** `host[:port]` as in the reference, in lower case: what credentials are asked by. */
  readonly host: string
  /** Path in the registry, such as `firmware/sensor`. */
  readonly name: string
  /** `https://host/v2/<name>/` */
  readonly base: URL
}

// OCI distribution spec, pulling manifests. Host and name together are kept within what all clients take.
const namePattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const hostPattern = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/
const lengthLimit = 255

/** Docker Hub answers at another host than its references name. */
const hosts: ReadonlyMap<string, string> = new Map([['docker.io', 'registry-1.docker.io']])

/**
 * Reads the repository part of a reference, `host[:port]/name`.
 * @throws `INVALID_REFERENCE`
 */
export function remoteRepository(repository: string, plainHttp: boolean | readonly string[] | undefined): RemoteRepository {
  const slash = repository.indexOf('/')
  const host = repository.slice(0, Math.max(slash, 0)).toLowerCase()
  const name = repository.slice(slash + 1)
  if (repository.length > lengthLimit) throw invalid(repository, `it is longer than ${lengthLimit} characters`)
  if (!hostPattern.test(host)) throw invalid(repository, `${JSON.stringify(host)} is not host[:port]`)
  if (!namePattern.test(name)) {
    throw invalid(
      repository,
      `${JSON.stringify(name)} is not a name (lower case words of a-z and 0-9, joined by ".", "_", "__", "-" or "/")`,
    )
  }
  const address = hosts.get(host) ?? host
  const scheme = speaksPlainHttp(urlOf(`http://${address}/`, repository), plainHttp) ? 'http' : 'https'
  return Object.freeze({ host, name, base: urlOf(`${scheme}://${address}/v2/${name}/`, repository) })
}

/** Whether plain http is allowed with the host of this URL. */
export function speaksPlainHttp(url: URL, plainHttp: boolean | readonly string[] | undefined): boolean {
  if (typeof plainHttp === 'boolean') return plainHttp
  return isLoopback(url) || (plainHttp ?? []).some((host) => host === url.host || host === url.hostname)
}

/** Whether a URL surely names this machine: plain http to it never meets a wire. The URL parser has made one form of every way to write an address. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || /^127\.[0-9]+\.[0-9]+\.[0-9]+$/.test(hostname) || hostname === '[::1]'
}

/** Whether a URL may lead to this machine: also by names that resolvers may send there, and by addresses that stand for any. */
export function mayBeThisMachine(url: URL): boolean {
  const { hostname } = url
  const other = hostname === '0.0.0.0' || hostname === '[::]' || /^\[::ffff:(?:7f[0-9a-f]{2}:[0-9a-f]{1,4}|0:0)\]$/.test(hostname)
  return isLoopback(url) || other || /(?:^|\.)localhost\.?$/.test(hostname)
}

function urlOf(text: string, repository: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.port === '0') throw invalid(repository, 'no URL can be made of it')
  return url
}

function invalid(repository: string, why: string): Error {
  const shown = JSON.stringify(repository.slice(0, 200))
  return coreError('INVALID_REFERENCE', `expected host[:port]/name, found ${shown}: ${why}`)
}
