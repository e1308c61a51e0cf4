import { connect } from 'node:net'
import { type ByteStream, collect, concat } from '@reflash/core'
import type { Attack, Caller, Carried, KnownDevice, PullAnswer, PullBench, PullClient, RawCheckIn } from '@reflash/core/conformance'
import { get, post } from '../wire.ts'
import { type Head, type HttpLine, httpLine, refusedBy } from './http-line.ts'

type Said = Parameters<PullClient['checkIn']>[0]

/** How one dialect says what a device wants. */
export interface DialectWords {
  readonly carries: readonly Carried[]
  checkIn(id: string, said: Said, headers: Record<string, string>): Uint8Array
  answer(status: number, body: Uint8Array): PullAnswer
  image(id: string, seq: number | undefined, headers: Record<string, string>): Uint8Array
  report?(id: string, seq: number, report: object, headers: Record<string, string>): Uint8Array
}

const answerLimit = 64 * 1024

function httpClient(address: string, { id, token }: Caller, words: DialectWords): PullClient {
  const heard: Uint8Array[] = []
  const open = new Set<HttpLine>()
  const headers = (more: Record<string, string> = {}): Record<string, string> => ({
    Connection: 'close',
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    ...more,
  })
  const dial = (request: Uint8Array, signal?: AbortSignal): HttpLine => {
    const line = httpLine(address, request, heard, signal)
    open.add(line)
    return line
  }
  const ask = async (request: Uint8Array, signal?: AbortSignal): Promise<{ readonly head: Head; readonly body: Uint8Array }> => {
    const line = dial(request, signal)
    try {
      const head = await line.head()
      return { head, body: await collect(line.body(head.sizeBytes), answerLimit) }
    } finally {
      line.leave()
    }
  }
  const { report } = words
  return {
    async checkIn(said, { signal } = {}) {
      const { head, body } = await ask(words.checkIn(id, said, headers()), signal)
      return words.answer(head.status, body)
    },
    async *image({ seq }, { offset = 0, signal } = {}): ByteStream & AsyncGenerator<Uint8Array> {
      const line = dial(words.image(id, seq, headers(offset === 0 ? {} : { Range: `bytes=${offset}-` })), signal)
      try {
        const { status, sizeBytes } = await line.head()
        if (status !== (offset === 0 ? 200 : 206)) throw refusedBy(status, await collect(line.body(sizeBytes), answerLimit))
        yield* line.body(sizeBytes)
      } finally {
        line.leave()
      }
    },
    ...(report === undefined
      ? {}
      : {
          async report(seq, said, { signal } = {}) {
            const { head, body } = await ask(report(id, seq, said, headers()), signal)
            if (head.status !== 204) throw refusedBy(head.status, body)
          },
        }),
    heard: () => concat(heard),
    async close() {
      for (const line of open) line.leave()
    },
  }
}

function rawCheckIn(address: string, { id, token }: KnownDevice, words: DialectWords): RawCheckIn {
  const { hostname, port } = new URL(address)
  return {
    bytes: words.checkIn(id, { model: 'board' }, { Authorization: `Bearer ${token}` }),
    send: (bytes, { pieceBytes = bytes.length } = {}) =>
      new Promise((resolve) => {
        const socket = connect({ host: hostname, port: Number(port), noDelay: true })
        const over = (): void => {
          socket.destroy()
          resolve()
        }
        for (const event of ['data', 'end', 'close', 'error']) socket.once(event, over)
        let at = 0
        const next = (): void => {
          if (socket.destroyed || at >= bytes.length) return
          socket.write(bytes.subarray(at, at + pieceBytes), () => setImmediate(next))
          at += pieceBytes
        }
        next()
      }),
    async hold(bytes) {
      const socket = connect(Number(port), hostname)
      socket.on('error', () => undefined)
      socket.resume()
      await new Promise((resolve) => socket.write(bytes, resolve))
      return async () => void socket.destroy()
    },
  }
}

/** How devices that speak a dialect of HTTP look to a server. */
export function httpBench(words: DialectWords): PullBench {
  const request = (change: (device: KnownDevice) => string | Uint8Array, reaches = false) => ({
    reaches,
    run: (address: string, device: KnownDevice) => rawCheckIn(address, device, words).send(Buffer.from(change(device))),
  })
  const smuggled = (head: string, body = '{}') =>
    request(
      ({ id, token }) =>
        `POST /v1/devices/${id}/check-in HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\n${head}\r\n\r\n${body}` +
        get('/firmware?device=device-3', { Authorization: `Bearer ${token}` }),
    )
  const attacks: readonly Attack[] = [
    { name: 'a head without an end', ...request(() => `GET /version HTTP/1.1\r\n${'X: y\r\n'.repeat(10_000)}`) },
    { name: 'a body of which 1 GB is announced', ...request(({ id, token }) => announced(id, token, 1e9)) },
    { name: 'chunks without an end', ...request(({ id, token }) => chunked(id, token)) },
    { name: 'two lengths', ...smuggled('Content-Length: 2\r\nContent-Length: 3') },
    { name: 'a length and chunks', ...smuggled('Content-Length: 2\r\nTransfer-Encoding: chunked', '0\r\n\r\n') },
    { name: 'a coding that only looks like chunked', ...smuggled('Transfer-Encoding: xchunked') },
    { name: 'bytes that are no HTTP', ...request(() => '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003') },
    {
      name: 'an id that climbs',
      ...request(({ token }) => get('/v1/devices/..%2fdevice-2/check-in', { Authorization: `Bearer ${token}` }, 'POST')),
    },
    {
      name: 'two devices in one query',
      ...request(({ token }) => get('/version?device=device-1&device=device-2', { Authorization: `Bearer ${token}` })),
    },
  ]
  return {
    carries: words.carries,
    client: async (address, caller) => httpClient(address, caller, words),
    raw: async (address, device) => rawCheckIn(address, device, words),
    attacks,
  }
}

function announced(id: string, token: string, size: number): string {
  const headers = { 'Content-Type': 'application/json', 'Content-Length': String(size), Authorization: `Bearer ${token}` }
  return get(`/v1/devices/${id}/check-in`, headers, 'POST') + ' '.repeat(100_000)
}

function chunked(id: string, token: string): string {
  const headers = { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked', Authorization: `Bearer ${token}` }
  return get(`/v1/devices/${id}/check-in`, headers, 'POST') + `4000\r\n${' '.repeat(0x4000)}\r\n`.repeat(20)
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

interface NativeWire extends Omit<PullAnswer, 'offer' | 'challenge'> {
  readonly challenge?: string
  readonly offer?: {
    readonly seq: number
    readonly version: string
    readonly components: readonly { readonly size: number; readonly digest: string; readonly crc32: number }[]
  }
}

export const nativeWords: DialectWords = {
  carries: [
    'model',
    'installed',
    'attributes',
    'evidence',
    'seq',
    'digest',
    'crc32',
    'poll',
    'reasons',
    'cancel',
    'reports',
    'offset',
    'hang-up',
  ],
  checkIn(id, { evidence, ...state } = {}, headers) {
    const shown = evidence && { mediaType: evidence.mediaType, body: Buffer.from(evidence.body).toString('base64') }
    return post(`/v1/devices/${encodeURIComponent(id)}/check-in`, JSON.stringify({ ...state, evidence: shown }), headers)
  },
  answer(status, body) {
    if (status !== 200) throw refusedBy(status, body)
    const { offer, challenge, ...rest } = JSON.parse(text(body)) as NativeWire
    const image = offer?.components[0]
    return {
      ...rest,
      ...(offer === undefined || image === undefined ? {} : { offer: { ...image, seq: offer.seq, version: offer.version } }),
      ...(challenge === undefined ? {} : { challenge: new Uint8Array(Buffer.from(challenge, 'base64')) }),
    }
  },
  image: (id, seq, headers) => Buffer.from(get(`/v1/devices/${encodeURIComponent(id)}/offers/${seq}/images/app`, headers)),
  report: (id, seq, report, headers) => post(`/v1/devices/${encodeURIComponent(id)}/offers/${seq}/report`, JSON.stringify(report), headers),
}

/** The dialect of OtaFlux: says nothing of itself, and never reports. */
export const otafluxWords: DialectWords = {
  carries: ['crc32', 'offset', 'hang-up'],
  checkIn: (id, _said, headers) => Buffer.from(get(`/version?device=${encodeURIComponent(id)}`, headers)),
  answer(status, body) {
    if (status === 404 && text(body).startsWith('No firmware')) return {}
    if (status !== 200) throw refusedBy(status, body)
    const [version = '', crc32, size] = text(body).split('\n')
    return { offer: { version, crc32: Number(crc32), size: Number(size) } }
  },
  image: (id, _seq, headers) => Buffer.from(get(`/firmware?device=${encodeURIComponent(id)}`, headers)),
}
