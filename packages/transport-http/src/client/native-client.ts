import { setTimeout as wait } from 'node:timers/promises'
import { type ByteStream, collect, type DeviceState, type Evidence, isDeviceId, type Report } from '@reflash/core'
import { fail } from '../http-errors.ts'
import { type ClientLimits, defaultClientLimits } from './client-limits.ts'
import { type Downloader, type DownloadOptions, download } from './download.ts'
import { fetchCaller } from './fetch-caller.ts'
import type { Answer } from './http-caller.ts'
import { type NativeAnswer, type NativeComponent, readNativeAnswer } from './native-answer.ts'
import { type ClientTls, nodeCaller } from './node-caller.ts'
import { refused, unreachable } from './refused.ts'
import { serverUrl } from './server-url.ts'

export interface NativeClientOptions extends ClientTls {
  /** `http(s)://host[:port][/prefix]` */
  readonly server: string
  readonly deviceId: string
  readonly token?: string
  /** Used instead of node:http and node:https; then `ca`, `cert` and `key` are its affair. */
  readonly fetch?: (request: Request) => Promise<Response>
  readonly limits?: Partial<ClientLimits>
  /** Waits before a download is tried again; rejects where the signal fires. */
  readonly sleep?: (milliseconds: number, signal?: AbortSignal) => Promise<void>
  /** From 0 to 1, for the jitter of these waits. */
  readonly random?: () => number
}

/** What a device says at check-in. */
export interface NativeState extends Partial<Omit<DeviceState, 'id' | 'labels'>> {
  readonly evidence?: Evidence
}

/** A device's side of the native protocol. It decides nothing about trust: the device checks what it installs. */
export interface NativeClient {
  checkIn(state?: NativeState, options?: { readonly signal?: AbortSignal }): Promise<NativeAnswer>
  download(component: NativeComponent, options?: DownloadOptions): ByteStream
  report(seq: number, report: Report, options?: { readonly signal?: AbortSignal }): Promise<void>
  close(): void
}

/**
 * Makes a client for one device. No I/O until the first call.
 * @throws `INVALID_OPTION`; its calls throw `SERVER_UNREACHABLE`, `SERVER_BUSY`, `SERVER_REFUSED`, `REQUEST_REFUSED`, `INVALID_ANSWER`, `ABORTED`
 */
export function nativeClient(options: NativeClientOptions): NativeClient {
  const { deviceId, token, fetch, sleep = sleeping, random = Math.random } = options
  const server = serverUrl(options.server)
  if (!isDeviceId(deviceId)) throw fail('INVALID_OPTION', 'deviceId: expected 1 to 128 of A-Z a-z 0-9 . _ : + = @ -, found another')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (token !== undefined && (token === '' || /[\u0000-\u0020\u007f-\uffff]/.test(token))) {
    throw fail('INVALID_OPTION', 'token: expected visible ASCII without spaces, found something else')
  }
  const limits = { ...defaultClientLimits, ...options.limits }
  const caller = fetch === undefined ? nodeCaller(options, limits.idleTimeoutMs) : fetchCaller(fetch)
  const headers: Readonly<Record<string, string>> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const base = `${server.href}/v1/devices/${encodeURIComponent(deviceId)}`
  const downloader: Downloader = { caller, limits, headers, urlOf, sleep, random }

  function urlOf({ url }: NativeComponent): URL {
    const found = URL.parse(url, `${server.href}/`)
    // The token goes nowhere else.
    if (found !== null && found.origin === server.origin) return found
    throw fail('INVALID_ANSWER', `expected an image on ${server.origin}, found another place`)
  }

  async function post(path: string, said: object, signal: AbortSignal | undefined): Promise<{ answer: Answer; body: Uint8Array }> {
    const body = Buffer.from(JSON.stringify(said))
    try {
      const url = new URL(`${base}/${path}`)
      const answer = await caller.send({ method: 'POST', url, headers: { ...headers, 'Content-Type': 'application/json' }, body, signal })
      if (answer.status !== 200 && answer.status !== 204) throw await refused(answer)
      return { answer, body: await collect(answer.body, limits.answerBytes, 'answer of the server') }
    } catch (error) {
      throw unreachable(error, server.href, signal)
    }
  }

  return Object.freeze<NativeClient>({
    async checkIn({ model, installed, attributes, evidence } = {}, { signal } = {}) {
      const shown = evidence && { mediaType: evidence.mediaType, body: Buffer.from(evidence.body).toString('base64') }
      const { body } = await post('check-in', { model, installed, attributes, evidence: shown }, signal)
      return readNativeAnswer(body)
    },
    download: (component, downloadOptions) => download(downloader, component, downloadOptions),
    async report(seq, report, { signal } = {}) {
      await post(`offers/${seq}/report`, report, signal)
    },
    close: caller.close,
  })
}

function sleeping(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return wait(milliseconds, undefined, signal === undefined ? {} : { signal })
}
