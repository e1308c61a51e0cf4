import { crc32, digestOf, isDeviceId, type Json } from '@reflash/core'
import {
  type FuzzedParser,
  fuzzParser,
  type Mutation,
  mutateBytes,
  mutateField,
  mutateJson,
  mutateJsonBytes,
  mutateText,
  type ParserFuzz,
} from '@reflash/core/testing'
import { checkEmbedded } from '../src/broker/embedded-options.ts'
import { packetGuard } from '../src/broker/packet-guard.ts'
import { type CheckedBroker, checkBroker } from '../src/broker-options.ts'
import { mqttClient } from '../src/client/index.ts'
import { mqttTransport } from '../src/index.ts'
import { topicsOf } from '../src/topics.ts'
import {
  type AgentResult,
  decodeAgentAnswer,
  encodeAgentAnswer,
  encodeAgentResult,
  missingRanges,
  readAgentResult,
} from '../src/wire/agent-answer.ts'
import { decodeAgentCommand, encodeAgentCommand } from '../src/wire/agent-command.ts'
import { type Answer, decodeAnswer, encodeAnswer } from '../src/wire/answer.ts'
import { type CheckInMessage, decodeCheckIn, encodeCheckIn } from '../src/wire/check-in.ts'
import { chunkHeadBytes, chunkLimitBytes, decodeChunk, encodeChunk } from '../src/wire/chunk.ts'
import { decodeChunkAck, encodeChunkAck } from '../src/wire/chunk-ack.ts'
import { decodeImageRequest, encodeImageRequest, type ImageRequest } from '../src/wire/image-request.ts'
import { decodeNotice, encodeNotice } from '../src/wire/notice.ts'
import { decodeReport, encodeReport, type ReportMessage } from '../src/wire/report.ts'
import { connectPacket, publishPacket, subscribePacket } from './support/raw-mqtt.ts'

const digest = digestOf(new Uint8Array([1]))
const from = '0123456789abcdef'
const bytes = Uint8Array.from({ length: 40 }, (_, index) => index)
const state = { model: 'board', installed: { version: '1.0.0', digest, state: 'confirmed' }, attributes: { a: { b: [1] } } } as const
const evidence = { mediaType: 'application/pem', body: bytes }
const image = { seq: 7, component: 'app', offset: 4096, length: 2048, chunkBytes: 512 }

const invalid = { INVALID_MESSAGE: 'invalid' } as const
const sealed = { ...invalid, CHUNK_CORRUPT: 'invalid' } as const
const json = { mutations: [mutateJsonBytes, mutateJsonBytes, mutateJsonBytes, mutateBytes], codes: invalid }

function expectThat(holds: boolean, expected: string, found: unknown): void {
  if (!holds) throw new Error(`expected ${expected}, found ${JSON.stringify(found)}`)
}

const isUint32 = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= 0xffff_ffff

/** Makes the CRC-32 of a sealed message right again. */
function reseal(message: Uint8Array): Uint8Array {
  if (message.length < 4) return message
  const copy = new Uint8Array(message)
  new DataView(copy.buffer).setUint32(0, crc32(copy.subarray(4)))
  return copy
}

/** Makes the CRC-32 in bytes 12 to 15 right again. */
function rehead(frame: Uint8Array): Uint8Array {
  if (frame.length < 16) return frame
  const copy = new Uint8Array(frame)
  new DataView(copy.buffer).setUint32(12, crc32(copy.subarray(16), crc32(copy.subarray(0, 12))))
  return copy
}

/** Changes the JSON behind a CRC-32, and makes the CRC-32 right. */
const mutateSealed: Mutation<Uint8Array> = (message, random, other) => {
  const changed = mutateJsonBytes(message.subarray(4), random, other.subarray(4))
  return reseal(Uint8Array.from([0, 0, 0, 0, ...changed]))
}

const inSeal = { mutations: [mutateBytes, mutateSealed, mutateSealed, mutateSealed], seal: reseal, codes: sealed }
const framed = {
  mutations: [mutateBytes, mutateField(0, 4), mutateField(4, 4), mutateField(8, 4), mutateField(16, 2)],
  seal: rehead,
  codes: sealed,
}

/** What a server reads. */
const checkIn = fuzzParser<Uint8Array, CheckInMessage>({
  name: 'check-in',
  corpus: [encodeCheckIn({ re: 1, token: 't', state, evidence }), encodeCheckIn({ re: 9, state: {} })],
  parse: decodeCheckIn,
  holds: ({ re, token = 't', state: said }) => {
    expectThat(isUint32(re), 'a number', re)
    expectThat(token.length <= 1024 && (said.model ?? '').length <= 128, 'bounded texts', token.length)
    expectThat(Object.keys(said.attributes ?? {}).length <= 100, 'at most 100 attributes', said)
  },
  ...json,
})

const report = fuzzParser<Uint8Array, ReportMessage>({
  name: 'report',
  corpus: [
    encodeReport({ re: 1, token: 't', seq: 7, report: { state: 'failed', received: 4, code: 'X', messages: ['a', 'b'] } }),
    encodeReport({ re: 4_294_967_295, seq: 2_147_483_647, report: { state: 'confirmed' } }),
  ],
  parse: decodeReport,
  holds: ({ seq, report: { messages = [] } }) => {
    expectThat(seq >= 1 && seq <= 2_147_483_647, 'a positive int32', seq)
    expectThat(messages.length <= 50 && messages.every((text) => text.length <= 1024), 'bounded messages', messages.length)
  },
  ...json,
})

const imageRequest = fuzzParser<Uint8Array, ImageRequest>({
  name: 'image request',
  corpus: [
    encodeImageRequest({ re: 5, token: 't', ...image, have: Uint8Array.of(5) }),
    encodeImageRequest({ re: 6, ...image, length: 262_144, chunkBytes: 256, have: new Uint8Array(128).fill(255) }),
  ],
  parse: decodeImageRequest,
  // What a server makes room for because of it.
  holds: ({ length, chunkBytes, have, component }) => {
    expectThat(length <= 262_144 && chunkBytes >= 256 && chunkBytes <= chunkLimitBytes && have.length <= 128, 'a bounded request', length)
    expectThat(!/[^A-Za-z0-9._-]/.test(component), 'a plain name', component)
  },
  ...json,
})

interface Result {
  readonly task: keyof AgentResult
  readonly message: Uint8Array
}

const results: readonly Result[] = [
  { task: 'hello', message: encodeAgentResult.hello({ chunkBytes: 4096, windowBytes: 65_536, can: ['missing', 'evidence'] }) },
  { task: 'begin', message: encodeAgentResult.begin({ offset: 4096 }) },
  { task: 'missing', message: encodeAgentResult.missing({ from: 4096, chunkBytes: 512, bitmap: Uint8Array.of(6, 255) }) },
  { task: 'activate', message: encodeAgentResult.activate({}) },
  { task: 'status', message: encodeAgentResult.status(state) },
  { task: 'evidence', message: encodeAgentResult.evidence(evidence) },
].map(({ task, message }, index) => ({
  task: task as keyof AgentResult,
  message: encodeAgentAnswer(index + 1, index % 2 === 0 ? 'token' : undefined, { ok: message }),
}))

const missingOf = 300_000

const agentAnswer = fuzzParser<Result, unknown>({
  name: 'agent answer',
  corpus: [...results, { task: 'status', message: encodeAgentAnswer(2, undefined, { error: new Error('x') }) }],
  mutations: inSeal.mutations.map(
    (mutate): Mutation<Result> =>
      ({ task, message }, random, other) => ({
        // An agent may answer another question than it was asked.
        task: random.once(16) ? random.pick(results).task : task,
        message: mutate(message, random, other.message),
      }),
  ),
  seal: ({ task, message }) => ({ task, message: reseal(message) }),
  codes: sealed,
  parse: ({ task, message }) => {
    const { re, ok, error } = decodeAgentAnswer(message)
    if (error !== undefined) return { re }
    const read = readAgentResult(task, ok)
    return task === 'missing' ? { re, ranges: [...missingRanges(read as AgentResult['missing'], missingOf)] } : { re }
  },
  holds: (read) => {
    const { re, ranges = [] } = read as {
      readonly re: number
      readonly ranges?: readonly { readonly offset: number; readonly length: number }[]
    }
    expectThat(isUint32(re), 'a number', re)
    let end = -1
    for (const { offset, length } of ranges) {
      expectThat(offset > end && length > 0 && offset + length <= missingOf, `ascending ranges within ${missingOf}`, ranges)
      end = offset + length
    }
  },
})

const ack = fuzzParser<Uint8Array, unknown>({
  name: 'acknowledgement of chunks',
  corpus: [
    encodeChunkAck({ transfer: 7, is: 'held', next: 4096, bitmap: Uint8Array.of(6) }),
    encodeChunkAck({ transfer: 4_294_967_295, is: 'busy', next: 0, bitmap: new Uint8Array(64).fill(255) }),
  ],
  parse: decodeChunkAck,
  ...framed,
})

/** What a device reads. */
const answer = fuzzParser<Uint8Array, Answer>({
  name: 'answer of a server',
  corpus: [
    encodeAnswer(3),
    encodeAnswer(4, { error: new Error('x') }),
    encodeAnswer(5, {
      checkIn: {
        pollAfterMs: 1,
        challenge: bytes,
        cancel: 3,
        wants: ['evidence'],
        because: [{ code: 'A', message: 'b' }],
        offer: {
          seq: 1,
          version: '1.1.0',
          mode: 'forced',
          components: [
            {
              component: 'app',
              yields: digest,
              representations: [{ descriptor: { mediaType: 'x', digest, size: 9 }, fileName: 'a.bin', crc32: 5, coding: 'identity' }],
            },
            {
              component: 'delta',
              yields: digest,
              representations: [
                { descriptor: { mediaType: 'x', digest, size: 9 }, fileName: 'b.bin', crc32: 5, coding: 'bsdiff', base: digest },
              ],
            },
          ],
        },
      },
    }),
  ],
  parse: decodeAnswer,
  holds: ({ checkIn: told, error }) => {
    expectThat((told?.offer?.components.length ?? 1) <= 16, 'at most 16 images', told)
    expectThat((error?.because.length ?? 0) <= 32 && (error?.message.length ?? 0) <= 2048, 'a bounded error', error)
  },
  ...json,
})

const notice = fuzzParser<Uint8Array, unknown>({
  name: "notice, and OtaFlux's notification",
  corpus: [encodeNotice({ version: '1.0.0', size: 942_320 })],
  parse: decodeNotice,
  ...json,
})

const agentCommand = fuzzParser<Uint8Array, unknown>({
  name: 'agent command',
  corpus: [
    encodeAgentCommand({ re: 1, from, task: { do: 'begin', digest, size: 9, transfer: 3, chunkBytes: 512 } }),
    encodeAgentCommand({ re: 2, from, task: { do: 'evidence', challenge: bytes } }),
    encodeAgentCommand({ re: 3, from, task: { do: 'activate', digest } }),
    encodeAgentCommand({ re: 4, from, task: { do: 'status' } }),
  ],
  parse: decodeAgentCommand,
  ...inSeal,
})

const chunk = fuzzParser<Uint8Array, { readonly bytes: Uint8Array }>({
  name: 'chunk of an image',
  corpus: [
    encodeChunk({ transfer: 7, offset: 4096, bytes }),
    encodeChunk({ transfer: 4_294_967_295, offset: 4_294_967_295, bytes: bytes.slice(0, 1) }),
  ],
  hostile: [encodeChunk({ transfer: 1, offset: 0, bytes: new Uint8Array(chunkLimitBytes + 1) })],
  parse: decodeChunk,
  holds: (read, frame) => expectThat(read.bytes.length === frame.length - chunkHeadBytes, 'all bytes behind the head', read.bytes.length),
  ...framed,
})

/** What both read. */
const topics = topicsOf('plant-1/ota')
const topicWords = [
  'plant-1/ota/v1/up/',
  'down',
  'up',
  '/',
  '//',
  '+',
  '#',
  '%2B',
  '%2b',
  '%2F',
  '..',
  'd1',
  'check-in',
  'agent',
  from,
  '$share/g/',
  '\u0000',
]

const topic = fuzzParser<string, { readonly up: string | undefined; readonly down: string | undefined }>({
  name: 'topic',
  corpus: [
    topics.up('d+1', 'check-in'),
    topics.up('d:1', 'agent', from),
    topics.down('d1', 'chunk', from),
    topics.down('d1', 'answer'),
    topics.upFilter('ack', from),
  ],
  mutations: [mutateText(topicWords)],
  // What is no topic of a device is nobody's: this parser never throws.
  parse: (text) => {
    const spoken = topics.parseUp(text)
    const heard = topics.parseDown(text)
    return {
      up: spoken && topics.up(spoken.deviceId, spoken.kind, spoken.instance),
      down: heard && `${spoken?.deviceId ?? ''}${heard.kind}`,
    }
  },
  codes: {},
  // One spelling for each: what is read is written the same, so that an access list means what it says.
  holds: ({ up, down }, text) => {
    expectThat(up === undefined || up === text, `the topic ${text}`, up)
    expectThat(up === undefined || isDeviceId(topics.parseUp(text)?.deviceId), 'a device id', text)
    expectThat(up === undefined || down === undefined, 'one direction', text)
  },
})

const url = fuzzParser<string, CheckedBroker>({
  name: 'URL of a broker',
  corpus: ['mqtt://broker.example', 'mqtts://10.0.0.1:8883', 'mqtt://[::1]:1883/', 'MQTTS://h'],
  mutations: [
    mutateText(['mqtt', 'mqtts://', 'http://', ':', '@', 'user:pw@', '/', '?', '#', '[', ']', '65536', '0', '%00', '\\', ' ', '..']),
  ],
  parse: (text) => checkBroker({ url: text }),
  codes: { INVALID_OPTIONS: 'invalid' },
  holds: ({ host, port, address }, text) => {
    expectThat(host !== '' && !/[@/?#\s]/.test(host) && port >= 0 && port <= 65_535, 'a host and a port', `${host} ${port}`)
    expectThat(!text.includes('pw@') || !address.includes('pw'), 'an address without credentials', address)
  },
})

const authenticators: readonly Json[] = []
const options = (name: string, parse: (given: never) => unknown, valid: readonly object[], strange: readonly string[]): ParserFuzz =>
  fuzzParser<unknown, unknown>({
    name,
    corpus: valid,
    mutations: [
      (given, random, other) => mutateJson((given ?? null) as Json, random, (other ?? null) as Json),
      (given, random) => ({
        ...(given as object),
        [random.pick(strange)]: random.pick([null, 5, 'x', {}, [null], [{}], { cert: 5, key: [] }, { ca: 'x' }]),
      }),
    ],
    parse: (given) => parse((given ?? {}) as never),
    codes: { INVALID_OPTIONS: 'invalid' },
  } satisfies FuzzedParser<unknown>)

const transportOptions = options(
  'options of the transport',
  mqttTransport,
  [
    { url: 'mqtts://broker.example', version: '5', username: 'u', password: 'p', tls: {}, prefix: 'a/b', share: 'g', otafluxTopic: 'fw/x' },
    { url: 'mqtt://broker.example', limits: { chunkBytes: 1024, drainMs: 0 }, authenticators },
  ],
  ['tls', 'limits', 'onRecord', 'authenticators', 'share', 'otafluxTopic', 'username', 'clientId'],
)

const clientOptions = options(
  'options of a device',
  mqttClient,
  [{ url: 'mqtt://broker.example', deviceId: 'd1', token: 't', version: '3.1.1', limits: { retryMs: 5 } }],
  ['tls', 'limits', 'token', 'deviceId', 'prefix'],
)

const embeddedOptions = options(
  'options of the embedded broker',
  checkEmbedded,
  [{ authenticators, listen: '127.0.0.1:0', prefix: 'reflash', otafluxTopic: 'fw' }, { authenticators }],
  ['tls', 'listen', 'authenticators', 'otafluxTopic', 'prefix'],
)

const guardLimit = 400

/** The lengths of packets, by a reader that has all bytes at once; undefined from the first on that is too long. */
function isWithin(all: Uint8Array): boolean {
  for (let at = 0; at < all.length; ) {
    let length = 0
    let index = 0
    for (;;) {
      const byte = all[at + 1 + index]
      if (byte === undefined) return length <= guardLimit
      length += (byte & 0x7f) * 128 ** index
      index += 1
      if (length > guardLimit || index > 5 || (index === 5 && byte >= 0)) return false
      if (byte < 0x80) break
    }
    at += 1 + index + length
  }
  return true
}

const packets = fuzzParser<Uint8Array, boolean>({
  name: 'lengths of packets, before the embedded broker',
  corpus: [
    Buffer.concat([
      connectPacket('c', 'd1', 'pw'),
      subscribePacket('a/b'),
      publishPacket('a/b', new Uint8Array(200)),
      publishPacket('a', bytes),
    ]),
    connectPacket('c'),
  ],
  mutations: [mutateBytes, mutateField(1, 1), mutateField(1, 2), mutateField(1, 4)],
  // In pieces of 7 bytes: a length may lie across two of them.
  parse: (all) => {
    const isAllowed = packetGuard(guardLimit)
    for (let at = 0; at < all.length; at += 7) if (!isAllowed(all.subarray(at, at + 7))) return false
    return true
  },
  codes: {},
  holds: (isAllowed, all) => expectThat(isAllowed === isWithin(all), String(isWithin(all)), isAllowed),
})

/** Every parser of this package. */
export const parsers: readonly ParserFuzz[] = [
  checkIn,
  report,
  imageRequest,
  agentAnswer,
  ack,
  answer,
  notice,
  agentCommand,
  chunk,
  topic,
  url,
  transportOptions,
  clientOptions,
  embeddedOptions,
  packets,
]
