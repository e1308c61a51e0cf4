import { isDeviceId, type JsonObject, type Report, streamOf } from '@reflash/core'
import { fuzzParser, type Mutation, mutateBytes, mutateJson, mutateJsonBytes, mutateText, type ParserFuzz } from '@reflash/core/testing'
import { bearerToken } from '../src/authenticate.ts'
import { type NativeAnswer, readNativeAnswer } from '../src/client/native-answer.ts'
import { refused } from '../src/client/refused.ts'
import type { HttpRequest } from '../src/http-message.ts'
import { httpTransport } from '../src/http-transport.ts'
import { jsonBody, parseObject } from '../src/json-body.ts'
import { parseListen } from '../src/listen-address.ts'
import { componentOf, deviceIdOf, sequenceOf } from '../src/names.ts'
import { readConfigData } from '../src/protocol/hawkbit-ddi/config-data.ts'
import { readFeedback, reportOf } from '../src/protocol/hawkbit-ddi/feedback.ts'
import { hawkbitToken } from '../src/protocol/hawkbit-ddi/gateway-token.ts'
import { originOf } from '../src/protocol/hawkbit-ddi/origin.ts'
import { readEvidence, readReported } from '../src/protocol/native/check-in.ts'
import { readReport } from '../src/protocol/native/report.ts'
import { deviceOfQuery } from '../src/protocol/otaflux/otaflux-query.ts'
import { matches, type Selection, select } from '../src/range.ts'
import { createRouter, type Found } from '../src/router.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const bytesOf = (document: unknown): Uint8Array => utf8(JSON.stringify(document))
const digest = `sha256:${'a'.repeat(64)}`
const jsonMutations = [mutateJsonBytes, mutateJsonBytes, mutateJsonBytes, mutateBytes]

const checkInDocument = {
  model: 'esp32s3',
  installed: { version: '1.0.0', digest, state: 'confirmed' },
  attributes: { ram: 320, list: [1, 'two', { three: 3 }] },
  evidence: { mediaType: 'application/pem', body: 'aGVsbG8=' },
}
const reportDocument = { state: 'failed', received: 12, code: 'FLASH', messages: ['one', 'two'] }

/** A request as far as its body goes. */
interface Sent {
  readonly type: string
  readonly coding: string
  readonly body: Uint8Array
}

const bodyLimit = 4096

const body = fuzzParser<Sent, JsonObject>({
  name: 'body of a request (JSON)',
  corpus: [
    { type: 'application/json', coding: 'identity', body: bytesOf(checkInDocument) },
    { type: 'Application/JSON; charset=utf-8', coding: 'identity', body: utf8('{}') },
    { type: 'application/json', coding: 'identity', body: new Uint8Array(0) },
  ],
  mutations: [
    (sent, random, other) => ({ ...sent, body: random.pick(jsonMutations)(sent.body, random, other.body) }),
    (sent, random, other) => ({ ...sent, body: random.pick(jsonMutations)(sent.body, random, other.body) }),
    (sent, random, other) => ({ ...sent, type: mutateText([';', '/', 'json', 'text/plain', '+json'])(sent.type, random, other.type) }),
    (sent, random) => ({ ...sent, coding: random.pick(['gzip', 'identity', '', 'br, identity']) }),
    (sent, random) => (random.once(8) ? { ...sent, body: new Uint8Array(bodyLimit + 1).fill(0x20) } : sent),
  ],
  parse: ({ type, coding, body }) => {
    const headers: Readonly<Record<string, string>> = { 'content-type': type, 'content-encoding': coding }
    // What the adapters hold: no body beyond the limit ever gets here.
    return jsonBody(
      { header: (name: string) => headers[name], body: async () => body.subarray(0, bodyLimit) } as unknown as HttpRequest,
      bodyLimit,
    )
  },
  codes: { UNSUPPORTED_CONTENT: 'invalid', INVALID_BODY: 'invalid' },
  holds: (read) => {
    if (depthOf(read) > 8) throw new Error('expected at most 8 levels')
  },
})

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

const checkIn = fuzzParser<Uint8Array, unknown>({
  name: 'check-in',
  corpus: [checkInDocument, { attributes: {} }, {}].map(bytesOf),
  mutations: jsonMutations,
  parse: (bytes) => {
    const read = parseObject(bytes)
    return { ...readReported(read), evidence: readEvidence(read) }
  },
  codes: { INVALID_BODY: 'invalid' },
  holds: (read) => {
    const strange = Object.keys(read as object).find((key) => !['model', 'installed', 'attributes', 'evidence'].includes(key))
    if (strange !== undefined) throw new Error(`expected known members, found ${strange}`)
  },
})

const report = fuzzParser<Uint8Array, unknown>({
  name: 'report',
  corpus: [reportDocument, { state: 'rolled-back' }].map(bytesOf),
  mutations: jsonMutations,
  parse: (bytes) => readReport(parseObject(bytes)),
  codes: { INVALID_BODY: 'invalid' },
})

const feedbackDocument = {
  id: '7',
  time: '20261121T050743',
  status: { execution: 'proceeding', result: { finished: 'none', progress: { cnt: 1, of: 5 } }, code: 200, details: ['one', 'two'] },
}

const feedback = fuzzParser<Uint8Array, Report>({
  name: 'feedback (hawkBit)',
  corpus: [feedbackDocument, { status: { execution: 'closed', result: { finished: 'failure' }, details: 'one text' } }].map(bytesOf),
  mutations: jsonMutations,
  parse: (bytes) => reportOf(readFeedback(parseObject(bytes))),
  codes: { INVALID_BODY: 'invalid' },
  holds: ({ messages = [] }) => {
    if (messages.length > 50 || messages.some((message) => message.length > 1024)) throw new Error('expected bounded messages')
  },
})

const configData = fuzzParser<Uint8Array, unknown>({
  name: 'attributes (hawkBit)',
  corpus: [{ id: '', mode: 'replace', data: { board: 'gate', serial: '1' } }, { data: {} }].map(bytesOf),
  mutations: jsonMutations,
  parse: (bytes) => readConfigData(parseObject(bytes)),
  codes: { INVALID_BODY: 'invalid' },
})

const origin = fuzzParser<Readonly<Record<string, string>>, string>({
  name: 'origin of a request (hawkBit)',
  corpus: [
    { host: 'ota.example:8080' },
    { host: 'x', 'x-forwarded-host': 'ota.example, inner', 'x-forwarded-proto': 'https', 'x-forwarded-port': '8443' },
  ],
  mutations: [
    (headers, random, other) => {
      const name = random.pick(['host', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port'])
      const text = mutateText(['/', '@', ':', '?', '#', '\\', '[::1]', 'https', '\r\n', '65536'])(
        headers[name] ?? 'a',
        random,
        other[name] ?? 'b',
      )
      return { ...headers, [name]: text }
    },
  ],
  parse: (headers) => originOf({ header: (name: string) => headers[name] } as unknown as HttpRequest, '/ota'),
  codes: {},
  // Whatever a header holds, nothing of it leaves the place of the host.
  holds: (found) => {
    if (!/^https?:\/\/[A-Za-z0-9.:_[\]-]+\/ota$/.test(found)) throw new Error(`expected an origin, found ${found}`)
  },
})

const scheme = fuzzParser<string, string | undefined>({
  name: 'TargetToken, GatewayToken (hawkBit)',
  corpus: ['TargetToken abc', 'GatewayToken 0123456789abcdef'],
  mutations: [mutateText(['TargetToken', 'gatewaytoken', ' ', 'Bearer'])],
  parse: hawkbitToken,
  codes: {},
  holds: (token) => {
    if (token !== undefined && !/^[!-~]{1,1024}$/.test(token)) throw new Error('expected a token of visible letters')
  },
})

const query = fuzzParser<string, string>({
  name: 'query of /version and /firmware',
  corpus: ['device=d1', 'a=b&device=aa%3Abb', 'device=a%2Bb&'],
  mutations: [mutateText(['device', 'device=', '=', '&', '%', '2F', '%41', 'd1', '+', '..', '/', ';', '?', '#', '%C3%A9', '%0a', '%00'])],
  parse: deviceOfQuery,
  codes: { INVALID_QUERY: 'invalid', INVALID_DEVICE_ID: 'invalid' },
  holds: (id) => {
    if (!isDeviceId(id)) throw new Error(`expected a device id, found ${JSON.stringify(id)}`)
  },
})

const answer = (): never => {
  throw new Error('never asked for')
}
const routes = [
  { name: 'check-in', method: 'POST', path: '/v1/devices/:device/check-in', answer, refuse: answer },
  { name: 'image', method: 'GET', path: '/v1/devices/:device/offers/:seq/images/:component', answer, refuse: answer },
] as const
const router = createRouter(routes, '/ota')

const path = fuzzParser<string, Found>({
  name: 'path, with device id, offer and component',
  corpus: [
    'POST /ota/v1/devices/aa%3Abb/check-in',
    'GET /ota/v1/devices/d1/offers/7/images/main',
    'HEAD /ota/v1/devices/d1/offers/2147483647/images/a.b',
  ],
  mutations: [
    mutateText(['/', '//', '/..', '%2e%2e', '%2f', '%', 'GET ', 'POST ', 'DELETE ', ':device', '-1', '1e3', '2147483648', '%ff']),
  ],
  parse: (text) => {
    const space = text.indexOf(' ')
    const found = router.find(text.slice(0, space), text.slice(space + 1))
    const [device, sequence, component] = found.params
    if (found.route.name === 'image') {
      deviceIdOf(device)
      sequenceOf(sequence)
      componentOf(component)
    } else deviceIdOf(device)
    return found
  },
  codes: { UNKNOWN_PATH: 'invalid', METHOD_NOT_ALLOWED: 'invalid', INVALID_PATH: 'invalid', INVALID_DEVICE_ID: 'invalid' },
  holds: ({ params }) => {
    if (params.some((text) => /[/%\s]/.test(text))) throw new Error(`expected plain parts, found ${JSON.stringify(params)}`)
  },
})

/** Headers of a request for an image. */
interface Asked {
  readonly range: string
  readonly ifRange: string
  readonly ifNoneMatch: string
  readonly size: number
}

const etag = `"${digest}"`
const rangeText = mutateText(['bytes=', '-', ',', '0', '9', '99', ' ', '-1', '0-0,', '9007199254740993', '5-', '*'])
const tagText = mutateText(['"', 'W/', etag, ',', '*', ' ', '"a"', '\\"'])
const asked: Asked = { range: 'bytes=0-9,20-29', ifRange: etag, ifNoneMatch: `W/"a", ${etag}`, size: 100 }

const conditions = fuzzParser<Asked, Selection>({
  name: 'Range, If-Range, If-None-Match',
  corpus: [asked, { ...asked, range: 'bytes=-5', ifNoneMatch: '*' }, { ...asked, range: 'bytes=95-', ifNoneMatch: '"b"', size: 0 }],
  mutations: [
    (input, random, other) => ({ ...input, range: rangeText(input.range, random, other.range) }),
    (input, random, other) => ({ ...input, range: rangeText(input.range, random, other.range) }),
    (input, random, other) => ({ ...input, ifRange: tagText(input.ifRange, random, other.ifRange) }),
    (input, random, other) => ({ ...input, ifNoneMatch: tagText(input.ifNoneMatch, random, other.ifNoneMatch) }),
    (input, random) => ({ ...input, size: random.pick([0, 1, 10, 2 ** 32, 2 ** 53 - 1]) }),
  ],
  // What cannot be read is ignored or answered with a status: this parser never throws.
  parse: ({ range, ifRange, ifNoneMatch, size }) => {
    matches(ifNoneMatch, etag, true)
    return select({ method: 'GET', range, ifRange }, { etag, size }, 16)
  },
  codes: {},
  holds: (selection, { size }) => {
    if (selection.status !== 206) return
    const total = selection.spans.reduce((sum, { start, end }) => sum + end - start, 0)
    const outside = selection.spans.find(({ start, end }) => !(start >= 0 && start < end && end <= size))
    if (outside !== undefined || total > size || selection.spans.length > 16)
      throw new Error(`expected ranges within ${size}, found ${JSON.stringify(selection)}`)
  },
})

const bearer = fuzzParser<string, string | undefined>({
  name: 'Authorization',
  corpus: ['Bearer abc.def-1', 'bearer x'],
  mutations: [mutateText(['Bearer ', 'Basic ', ' ', ',', '='])],
  // What is no bearer token is none: this parser never throws.
  parse: (header) => bearerToken(header),
  codes: {},
  holds: (token) => {
    if (token === '' || token?.includes(' ')) throw new Error(`expected one token, found ${JSON.stringify(token)}`)
  },
})

const listen = fuzzParser<string, { readonly host: string; readonly port: number }>({
  name: 'listen address',
  corpus: ['127.0.0.1:8080', '[::1]:0', ':65535', 'localhost:80'],
  mutations: [mutateText([':', '[', ']', '.', '65536', '0', '-1', '/'])],
  parse: parseListen,
  codes: { INVALID_OPTION: 'invalid' },
  holds: ({ host, port }) => {
    if (host === '' || !(port >= 0 && port <= 65_535)) throw new Error(`expected an address, found ${host} and ${port}`)
  },
})

const options = fuzzParser<unknown, unknown>({
  name: 'options of the transport',
  corpus: [
    { listen: '127.0.0.1:0', prefix: '/ota', baseUrl: 'https://ota.test/x', dialects: ['native'], limits: { ranges: 4, drainMs: 0 } },
    {},
  ],
  mutations: [
    (given, random, other) => mutateJson((given ?? null) as never, random, (other ?? null) as never),
    (given, random) => ({
      ...(given as object),
      [random.pick(['tls', 'onRequest', 'dialects'])]: random.pick([null, 5, 'x', {}, [null], [{}], { cert: 5, key: [] }]),
    }),
  ],
  parse: (given) => httpTransport((given ?? {}) as object),
  codes: { INVALID_OPTION: 'invalid' },
})

const nativeAnswer = {
  pollAfterMs: 60_000,
  offer: {
    seq: 3,
    version: '1.1.0',
    mode: 'forced',
    components: [
      { component: 'main', yields: digest, size: 10, digest, crc32: 7, fileName: 'a.bin', url: '/v1/devices/d1/offers/3/images/main' },
    ],
  },
  wants: ['attributes'],
  challenge: 'aGVsbG8=',
  because: [{ code: 'OFFERED', message: 'an update' }],
}

const answers = fuzzParser<Uint8Array, NativeAnswer>({
  name: 'answer to a check-in (client)',
  corpus: [nativeAnswer, { pollAfterMs: 0, cancel: 2 }].map(bytesOf),
  mutations: jsonMutations,
  parse: readNativeAnswer,
  codes: { INVALID_ANSWER: 'invalid' },
})

/** An answer that is no success. */
interface Failure {
  readonly status: number
  readonly retryAfter: string
  readonly body: Uint8Array
}

const changeFailure: Mutation<Failure> = (failure, random, other) => ({
  status: random.pick([failure.status, 200, 206, 301, 304, 400, 401, 403, 404, 408, 413, 429, 500, 501, 503, 999]),
  retryAfter: mutateText(['1', '-', 'e9', '.', 'Infinity', '0x10'])(failure.retryAfter, random, other.retryAfter),
  body: mutateJsonBytes(failure.body, random, other.body),
})

const failure = fuzzParser<Failure, void>({
  name: 'error answer (client)',
  corpus: [],
  hostile: [{ code: 'NO_OFFER', message: 'none' }, {}, 'proxy'].map((document) => ({
    status: 404,
    retryAfter: '120',
    body: bytesOf(document),
  })),
  mutations: [changeFailure],
  parse: async ({ status, retryAfter, body }) => {
    const error = await refused({ status, header: (name) => (name === 'retry-after' ? retryAfter : undefined), body: streamOf(body) })
    const { retryAfterMs = 0 } = (error as { readonly details?: { readonly retryAfterMs?: number } }).details ?? {}
    if (!(retryAfterMs >= 0 && retryAfterMs <= 3_600_000)) throw new Error(`expected at most an hour, found ${retryAfterMs}`)
    throw error
  },
  codes: { SERVER_REFUSED: 'rejected', SERVER_BUSY: 'unavailable', REQUEST_REFUSED: 'invalid', INVALID_ANSWER: 'invalid' },
})

/** Every parser of this package. */
export const parsers: readonly ParserFuzz[] = [
  body,
  checkIn,
  report,
  feedback,
  configData,
  origin,
  scheme,
  query,
  path,
  conditions,
  bearer,
  listen,
  options,
  answers,
  failure,
]
