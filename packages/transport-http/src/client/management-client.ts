import { isUtf8 } from 'node:buffer'
import {
  type AuditEntry,
  collect,
  type Deployment,
  type Explanation,
  type FleetDevice,
  isJsonObject,
  isOtaError,
  type NewDeployment,
  type Reason,
  type Selector,
} from '@reflash/core'
import { fail } from '../http-errors.ts'
import type { Call } from './http-caller.ts'
import { type ClientTls, nodeCaller } from './node-caller.ts'
import { refused, unreachable } from './refused.ts'
import { serverUrl } from './server-url.ts'

export interface ManagementClientOptions extends ClientTls {
  /** `http(s)://host[:port][/prefix]` of the management address. */
  readonly server: string
  readonly token: string
}

interface Called {
  readonly signal?: AbortSignal
}

/** A deployment, what it waits for while it runs, and who did what to it, the newest first. */
export interface ShownDeployment {
  readonly deployment: Deployment
  readonly waits: readonly Reason[]
  readonly audit: readonly AuditEntry[]
}

/** An operator's side of the management API. */
export interface ManagementClient {
  create(asked: NewDeployment, options?: Called): Promise<Deployment>
  list(options?: Called): Promise<readonly Deployment[]>
  show(id: string, options?: Called): Promise<ShownDeployment>
  pause(id: string, options?: Called): Promise<Deployment>
  resume(id: string, options?: Called): Promise<Deployment>
  abort(id: string, options?: Called): Promise<Deployment>
  devices(
    query?: { readonly after?: string; readonly limit?: number; readonly selector?: Selector },
    options?: Called,
  ): Promise<readonly FleetDevice[]>
  explain(deviceId: string, options?: Called): Promise<Explanation>
  label(deviceId: string, labels: Readonly<Record<string, string>>, options?: Called): Promise<FleetDevice>
  close(): void
}

/** A page of 500 devices with 16 labels each is a megabyte. */
const answerLimitBytes = 4 * 1024 * 1024
const idleTimeoutMs = 30_000

/**
 * Makes a client for operators. No I/O until the first call.
 * @throws `INVALID_OPTION`; its calls throw `SERVER_UNREACHABLE`, `SERVER_BUSY`, `SERVER_REFUSED`, `REQUEST_REFUSED`, `INVALID_ANSWER`, `ABORTED`
 */
export function managementClient({ server, token, ...tls }: ManagementClientOptions): ManagementClient {
  const { href } = serverUrl(server)
  if (!/^[\x21-\x7e]{1,1024}$/.test(token))
    throw fail('INVALID_OPTION', 'token: expected visible ASCII without spaces, found something else')
  const caller = nodeCaller(tls, idleTimeoutMs)

  async function call<T>(method: Call['method'], path: string, member: string, said: object | undefined, signal?: AbortSignal): Promise<T> {
    try {
      const body = said === undefined ? undefined : Buffer.from(JSON.stringify(said))
      const headers = { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) }
      const answer = await caller.send({ method, url: new URL(`${href}/v1/${path}`), headers, ...(body && { body }), signal })
      if (answer.status !== 200) throw withRemoteMessage(await refused(answer))
      return documentOf(await collect(answer.body, answerLimitBytes, 'answer of the server'), member) as T
    } catch (error) {
      throw unreachable(error, href, signal)
    }
  }

  const deployment = (id: string): string => `deployments/${encodeURIComponent(id)}`
  const device = (id: string): string => `devices/${encodeURIComponent(id)}`
  const move = (action: string) => (id: string, o?: Called) => call<Deployment>('POST', `${deployment(id)}/${action}`, 'id', {}, o?.signal)

  return Object.freeze<ManagementClient>({
    create: (asked, o) => call('POST', 'deployments', 'id', asked, o?.signal),
    list: async (o) =>
      (await call<{ readonly deployments: readonly Deployment[] }>('GET', 'deployments', 'deployments', undefined, o?.signal)).deployments,
    // A server of an earlier version does not say what it waits for.
    show: async (id, o) =>
      Object.assign({ waits: [] }, await call<ShownDeployment>('GET', deployment(id), 'deployment', undefined, o?.signal)),
    pause: move('pause'),
    resume: move('resume'),
    abort: move('abort'),
    async devices({ after, limit, selector = {} } = {}, o) {
      const query = new URLSearchParams()
      if (after !== undefined) query.set('after', after)
      if (limit !== undefined) query.set('limit', String(limit))
      for (const [name, values] of Object.entries(selector)) query.append('select', `${name}=${values.join(',')}`)
      const path = `devices?${query}`
      return (await call<{ readonly devices: readonly FleetDevice[] }>('GET', path, 'devices', undefined, o?.signal)).devices
    },
    explain: (id, o) => call('GET', device(id), 'device', undefined, o?.signal),
    label: (id, labels, o) => call('PUT', `${device(id)}/labels`, 'id', { labels }, o?.signal),
    close: caller.close,
  })
}

/** People read it: the server's own words say what to correct. */
function withRemoteMessage(error: Error): Error {
  if (!isOtaError(error) || error.code !== 'REQUEST_REFUSED' || typeof error.details.remoteMessage !== 'string') return error
  return fail('REQUEST_REFUSED', `${error.message}: ${error.details.remoteMessage}`, { details: error.details })
}

/** A JSON object that has at least the member by which this answer is told from another. */
function documentOf(bytes: Uint8Array, member: string): unknown {
  try {
    const value: unknown = isUtf8(bytes) ? JSON.parse(Buffer.from(bytes).toString('utf8')) : undefined
    if (isJsonObject(value) && value[member] !== undefined) return value
  } catch {
    // The parser's own message quotes the body.
  }
  throw fail('INVALID_ANSWER', `expected a JSON object with "${member}", found something else; is this the management address?`)
}
