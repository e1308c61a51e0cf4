import { OtaError } from '@reflash/core'
import { type FakeGateway, fakeGateway, idle, offerOf, representationOf } from '../fake-gateway.ts'
import { patterned } from '../started.ts'

/** One request and what every adapter answers. */
export interface Case {
  readonly name: string
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly gateway?: () => FakeGateway
  readonly status: number
  /** By lower case name; undefined says that the header is absent. */
  readonly with?: Readonly<Record<string, string | undefined>>
  readonly answers?: string | Uint8Array | RegExp
  /** Names of the gateway's calls. */
  readonly calls?: readonly string[]
}

export const bytes = patterned(5_000)
const { digest } = representationOf(bytes).descriptor
const image = '/v1/devices/d1/offers/7/images/app'
const checkIn = '/v1/devices/d1/check-in'
const report = '/v1/devices/d1/offers/7/report'
const json = { 'content-type': 'application/json' }
const text = { 'content-type': 'text/plain; charset=utf-8' }

const withImage = (form: 'memory' | 'file' | 'stream', path?: string) => (): FakeGateway =>
  fakeGateway({ bytes, form, ...(path === undefined ? {} : { path }) })
const failing = (failure: unknown) => (): FakeGateway => Object.assign(fakeGateway(), { failure })
const answering = (answer: FakeGateway['answer']) => (): FakeGateway => Object.assign(fakeGateway(), { answer })

/** `path` is a file of {@link bytes}. */
export function cases(path: string): readonly Case[] {
  return [...checkInCases, ...forms.flatMap((form) => imageCases(form, path)), ...reportCases, ...otafluxCases, ...otherCases]
}

const forms = ['memory', 'file', 'stream'] as const

const checkInCases: readonly Case[] = [
  {
    name: 'a check-in without an offer is short',
    method: 'POST',
    path: checkIn,
    headers: json,
    body: '{"installed":{"version":"1.1.0"}}',
    gateway: answering(idle),
    status: 200,
    with: { 'content-type': 'application/json' },
    answers: '{"pollAfterMs":300000,"because":[{"code":"UP_TO_DATE","message":"1.1.0 is the newest"}]}',
    calls: ['checkIn'],
  },
  {
    name: 'a check-in with an offer tells where the image is',
    method: 'POST',
    path: checkIn,
    headers: json,
    body: '{}',
    gateway: () => Object.assign(fakeGateway({ bytes }), { answer: { offer: offerOf(bytes), pollAfterMs: 60_000, because: [] } }),
    status: 200,
    answers: new RegExp(`"seq":7,"version":"1.1.0","mode":"forced",.*"size":5000,"digest":"${digest}",.*"url":"${image}"`),
  },
  { name: 'a check-in may say nothing at all', method: 'POST', path: checkIn, status: 200, calls: ['checkIn'] },
  { name: 'a check-in in another media type is refused', method: 'POST', path: checkIn, headers: text, body: '{}', status: 415, calls: [] },
  {
    name: 'a check-in in a content coding is refused',
    method: 'POST',
    path: checkIn,
    headers: { ...json, 'content-encoding': 'gzip' },
    body: '{}',
    status: 415,
  },
  { name: 'a check-in that is not JSON is refused', method: 'POST', path: checkIn, headers: json, body: '{', status: 400, calls: [] },
  {
    name: 'a check-in beyond its limit is refused',
    method: 'POST',
    path: checkIn,
    headers: json,
    body: `{"model":"${'m'.repeat(16 * 1024)}"}`,
    status: 413,
    answers: /BODY_TOO_LARGE/,
    calls: [],
  },
  {
    name: 'the path of a device id is percent-decoded',
    method: 'POST',
    path: '/v1/devices/aa%3Abb%40c/check-in',
    status: 200,
    calls: ['checkIn'],
  },
  {
    name: 'a device id with a slash is refused',
    method: 'POST',
    path: '/v1/devices/a%2Fb/check-in',
    status: 400,
    answers: /INVALID_DEVICE_ID/,
  },
  { name: 'a device id with a control character is refused', method: 'POST', path: '/v1/devices/a%0d%0ab/check-in', status: 400 },
  { name: 'a device id in broken percent-encoding is refused', method: 'POST', path: '/v1/devices/a%zz/check-in', status: 400 },
]

const imageCases = (form: (typeof forms)[number], path: string): readonly Case[] => {
  const gateway = withImage(form, path)
  const whole = {
    'content-type': 'application/octet-stream',
    'content-length': '5000',
    etag: `"${digest}"`,
    'accept-ranges': 'bytes',
    'content-encoding': undefined,
    'transfer-encoding': undefined,
  }
  return [
    { name: `${form}: an image comes whole`, path: image, gateway, status: 200, with: whole, answers: bytes, calls: ['read'] },
    { name: `${form}: HEAD tells the same without the bytes`, method: 'HEAD', path: image, gateway, status: 200, with: whole, answers: '' },
    {
      name: `${form}: a range comes alone`,
      path: image,
      headers: { range: 'bytes=100-199' },
      gateway,
      status: 206,
      with: { 'content-range': 'bytes 100-199/5000', 'content-length': '100' },
      answers: bytes.subarray(100, 200),
    },
    {
      name: `${form}: a range up to one past the end is clamped`,
      path: image,
      headers: { range: 'bytes=4000-5000', 'if-range': `"${digest}"` },
      gateway,
      status: 206,
      with: { 'content-range': 'bytes 4000-4999/5000' },
      answers: bytes.subarray(4000),
    },
    {
      name: `${form}: the first byte comes alone, as esp_https_ota asks for it`,
      path: image,
      headers: { range: 'bytes=0-0' },
      gateway,
      status: 206,
      with: { 'content-range': 'bytes 0-0/5000', 'content-length': '1' },
      answers: bytes.subarray(0, 1),
    },
    {
      name: `${form}: If-Range of another image gives the whole`,
      path: image,
      headers: { range: 'bytes=4000-', 'if-range': '"other"' },
      gateway,
      status: 200,
      answers: bytes,
    },
    {
      name: `${form}: what the device has is not sent again`,
      path: image,
      headers: { 'if-none-match': `"${digest}"` },
      gateway,
      status: 304,
      answers: '',
    },
    { name: `${form}: If-Match of another image fails`, path: image, headers: { 'if-match': '"other"' }, gateway, status: 412 },
    {
      name: `${form}: a range behind the end tells the size`,
      path: image,
      headers: { range: 'bytes=5000-' },
      gateway,
      status: 416,
      with: { 'content-range': 'bytes */5000', 'content-length': '0' },
    },
    {
      name: `${form}: two ranges come in parts, or whole from a stream`,
      path: image,
      headers: { range: 'bytes=0-1,-2' },
      gateway,
      status: form === 'stream' ? 200 : 206,
      ...(form === 'stream'
        ? { answers: bytes }
        : { answers: /Content-Range: bytes 0-1\/5000[\s\S]*Content-Range: bytes 4998-4999\/5000/ }),
    },
    {
      name: `${form}: the OtaFlux firmware is the same image`,
      path: '/firmware?device=d1',
      gateway,
      status: 200,
      with: whole,
      answers: bytes,
      calls: ['read', 'sent'],
    },
  ]
}

const reportCases: readonly Case[] = [
  {
    name: 'a report is taken',
    method: 'POST',
    path: report,
    headers: json,
    body: '{"state":"confirmed"}',
    status: 204,
    answers: '',
    calls: ['report'],
  },
  {
    name: 'a report of an unknown state is refused',
    method: 'POST',
    path: report,
    headers: json,
    body: '{"state":"x"}',
    status: 400,
    calls: [],
  },
  {
    name: 'a report for an offer that is no number is refused',
    method: 'POST',
    path: '/v1/devices/d1/offers/07/report',
    body: '{}',
    status: 400,
  },
]

const otafluxCases: readonly Case[] = [
  {
    name: 'OtaFlux: a version is three lines without an end of the last',
    path: '/version?device=d1',
    gateway: withImage('memory'),
    status: 200,
    with: { ...text, 'transfer-encoding': undefined },
    answers: new RegExp(`^1\\.1\\.0\\n${representationOf(bytes).crc32}\\n5000$`),
  },
  { name: 'OtaFlux: HEAD of a version', method: 'HEAD', path: '/version?device=d1', status: 200, with: text, answers: '' },
  ...['/version', '/version?device=', '/firmware?other=1', '/firmware'].map((path) => ({
    name: `OtaFlux: ${path} misses its device`,
    path,
    status: 400,
    with: text,
    answers: "Missing required query parameter: 'device'",
    calls: [],
  })),
  {
    name: 'OtaFlux: a device without an offer gets the words of OtaFlux and the reason in a header',
    path: '/version?device=d1',
    gateway: answering({ pollAfterMs: 1, because: [{ code: 'SIGNATURE_INVALID', message: 'no' }] }),
    status: 404,
    with: { ...text, 'reflash-code': 'SIGNATURE_INVALID' },
    answers: "No firmware for device 'd1'",
  },
  {
    name: 'OtaFlux: firmware that is not there gets the words of OtaFlux',
    path: '/firmware?device=d1',
    gateway: answering({ pollAfterMs: 1, because: [{ code: 'NO_RELEASE', message: 'no' }] }),
    status: 404,
    with: { ...text, 'reflash-code': 'NO_RELEASE' },
    answers: "No firmware for device 'd1'",
  },
  {
    name: 'OtaFlux: an unknown repository gets the words of OtaFlux',
    path: '/version?device=d1',
    gateway: failing(new OtaError('NOT_FOUND', 'invalid', 'no such repository')),
    status: 404,
    with: { 'reflash-code': 'NOT_FOUND' },
    answers: "No firmware for device 'd1'",
  },
  ...['a/b', '..', 'a%2Fb', 'a%0D%0Ab', '%00', '-x', 'd1%20'].map((id) => ({
    name: `OtaFlux: the device id ${id} is no id and is not repeated`,
    path: `/version?device=${id}`,
    status: 400,
    answers: "Invalid query parameter: 'device'",
    calls: [],
  })),
  {
    name: 'OtaFlux: two devices in one query are refused',
    path: '/version?device=d1&device=d2',
    status: 400,
    calls: [],
  },
  {
    name: 'OtaFlux: other parameters are ignored',
    path: '/version?v=1&device=d%31&devices=2',
    status: 200,
    calls: ['checkIn'],
  },
  {
    name: 'OtaFlux: a refusal of trust is told apart from no firmware',
    path: '/version?device=d1',
    gateway: failing(new OtaError('SIGNATURE_INVALID', 'rejected', 'no')),
    status: 403,
    with: { 'reflash-code': 'SIGNATURE_INVALID' },
  },
]

const otherCases: readonly Case[] = [
  {
    name: 'health tells the parts apart',
    path: '/health',
    status: 200,
    answers: '{"status":"ok","parts":{"registry":{"status":"ok"},"cache":{"status":"ok"},"journal":{"status":"ok"}}}',
  },
  { name: 'an unknown path is not found', path: '/v1/nothing', status: 404, answers: /UNKNOWN_PATH/ },
  { name: 'a known path with another method says which', method: 'DELETE', path: image, status: 405, with: { allow: 'GET, HEAD' } },
  { name: 'an empty segment is not found', path: '/v1/devices//check-in', status: 404 },
  {
    name: 'an unavailable gateway asks to come back and keeps its reasons',
    method: 'POST',
    path: checkIn,
    body: '{}',
    headers: json,
    gateway: failing(new OtaError('REGISTRY_DOWN', 'unavailable', 'registry.internal:5000 refused')),
    status: 503,
    with: { 'retry-after': '30' },
    answers: '{"code":"REGISTRY_DOWN","message":"try again later"}',
  },
  {
    name: 'a defect is a defect, and what it was stays inside',
    path: image,
    gateway: failing(new Error('secret of the house')),
    status: 500,
    answers: '{"code":"INTERNAL","message":"internal error"}',
  },
  { name: 'an offer that is gone is not found', path: '/v1/devices/d1/offers/8/images/app', status: 404, answers: /OFFER_NOT_FOUND/ },
  { name: 'a missing power says so', path: image, gateway: failing(new OtaError('NO_DELTA', 'unsupported', 'no delta')), status: 501 },
]
