import { coreError, isOtaError, type Principal, type ServeContext } from '@reflash/core'
import { authenticate } from '../authenticate.ts'
import type { BrokerLine } from '../broker-line.ts'
import type { MqttLimits } from '../limits.ts'
import { type OnMqttRecord, tellRecord } from '../mqtt-record.ts'
import type { Topics } from '../topics.ts'
import { encodeAnswer } from '../wire/answer.ts'
import { type CheckInMessage, decodeCheckIn } from '../wire/check-in.ts'
import { chunkHead } from '../wire/chunk.ts'
import { decodeImageRequest, type ImageRequest } from '../wire/image-request.ts'
import { numberOf, parseJson } from '../wire/json-message.ts'
import { decodeReport, type ReportMessage } from '../wire/report.ts'
import { byteBudget } from './byte-budget.ts'
import { chunkSums } from './chunk-sums.ts'
import { imageChunks } from './image-chunks.ts'
import { workQueue } from './work-queue.ts'

export type PullKind = 'check-in' | 'report' | 'image'

/** Between the signal that cuts running answers and the end. */
const graceMs = 500
const decoders = { 'check-in': decodeCheckIn, report: decodeReport, image: decodeImageRequest } as const

/** Answers the messages of devices that pull; knows nothing of subscriptions. */
export interface MqttService {
  handle(deviceId: string, kind: PullKind, payload: Uint8Array): void
  /** Takes no more, lets what runs end, and cuts it after `drainMs`. */
  drain(): Promise<void>
}

interface ServiceOptions extends ServeContext {
  readonly line: BrokerLine
  readonly topics: Topics
  readonly limits: MqttLimits
  readonly onRecord: OnMqttRecord | undefined
}

export function createMqttService({ gateway, authenticators, line, topics, limits, onRecord }: ServiceOptions): MqttService {
  const queue = workQueue(limits)
  const budget = byteBudget(limits.bufferBytes)
  const sums = chunkSums()
  const ending = new AbortController()
  const { signal } = ending
  /** Questions that are being answered: the same one, asked again because the answer takes its time, is not asked twice. */
  const underWay = new Set<string>()

  // An answer that does not come through is asked for again.
  async function answer(deviceId: string, payload: Uint8Array): Promise<void> {
    await line.publish(topics.down(deviceId, 'answer'), payload, { qos: 1 }).catch(() => undefined)
  }

  const admit = (deviceId: string, token: string | undefined): Promise<Principal> => authenticate(authenticators, deviceId, token, signal)

  async function checkIn(deviceId: string, { re, token, state, evidence }: CheckInMessage): Promise<void> {
    const who = await admit(deviceId, token)
    const told = await gateway.checkIn(who, state, evidence, { signal })
    await answer(deviceId, encodeAnswer(re, { checkIn: told }))
  }

  async function report(deviceId: string, { re, token, seq, report: said }: ReportMessage): Promise<void> {
    const who = await admit(deviceId, token)
    await gateway.report(who, seq, said, { signal })
    await answer(deviceId, encodeAnswer(re))
  }

  async function image(deviceId: string, request: ImageRequest): Promise<number> {
    const who = await admit(deviceId, request.token)
    expectRoom(request)
    const giveBack = await budget.take(request.length, signal)
    try {
      const { re, seq, component, offset, length } = request
      const { body, representation } = await gateway.read(who, seq, component, { offset, length, signal })
      const topic = topics.down(deviceId, 'image')
      let sentBytes = 0
      for await (const { offset, bytes } of imageChunks(body, request, signal)) {
        const sum = body instanceof Uint8Array ? sums.of(representation.descriptor.digest, offset, bytes) : undefined
        await line.publishPieces(topic, chunkHead({ transfer: re, offset, bytes }, sum), bytes)
        sentBytes += bytes.length
      }
      return sentBytes
    } finally {
      giveBack()
    }
  }

  function expectRoom({ chunkBytes }: ImageRequest): void {
    // The packet has a topic and a head besides.
    const room = line.maxPacketBytes() - 1024
    if (chunkBytes <= room) return
    throw coreError('TOO_LARGE', `chunkBytes: expected at most ${room}, which the broker takes; found ${chunkBytes}`, {
      details: { limitBytes: room },
    })
  }

  async function refuse(deviceId: string, payload: Uint8Array, error: unknown): Promise<void> {
    // The line went away: nobody hears an answer.
    if (isOtaError(error) && error.code === 'BROKER_UNREACHABLE') return
    const re = numberIn(payload)
    if (re !== undefined) await answer(deviceId, encodeRefusal(re, error))
  }

  async function work(deviceId: string, kind: PullKind, payload: Uint8Array): Promise<void> {
    const began = performance.now()
    let bytes: number | undefined
    let failure: unknown
    let key: string | undefined
    try {
      const message = decoders[kind](payload)
      const asked = `${kind} ${message.re} ${deviceId}`
      if (underWay.has(asked)) return
      underWay.add(asked)
      key = asked
      if (kind === 'check-in') await checkIn(deviceId, message as CheckInMessage)
      else if (kind === 'report') await report(deviceId, message as ReportMessage)
      else bytes = await image(deviceId, message as ImageRequest)
    } catch (error) {
      failure = error
      await refuse(deviceId, payload, error)
    } finally {
      if (key !== undefined) underWay.delete(key)
    }
    if (onRecord === undefined) return
    const durationMs = Math.round((performance.now() - began) * 1000) / 1000
    const code = failure === undefined ? undefined : isOtaError(failure) ? failure.code : 'INTERNAL'
    const record = { kind, deviceId, durationMs, ...(bytes === undefined ? {} : { bytes }), ...(code === undefined ? {} : { code }) }
    tellRecord(onRecord, record, failure)
  }

  return Object.freeze<MqttService>({
    handle(deviceId, kind, payload) {
      if (payload.length > limits.packetBytes) return
      queue.add(deviceId, () => work(deviceId, kind, payload))
    },
    async drain() {
      const late = Promise.withResolvers<void>()
      const deadline = setTimeout(() => {
        ending.abort()
        // What does not heed its signal is left behind.
        setTimeout(late.resolve, graceMs)
      }, limits.drainMs)
      await Promise.race([queue.settled(), late.promise])
      clearTimeout(deadline)
      ending.abort()
    },
  })
}

/** Reasons that are too long for a message stay here. */
function encodeRefusal(re: number, error: unknown): Uint8Array {
  try {
    return encodeAnswer(re, { error })
  } catch {
    return encodeAnswer(re, { error: undefined })
  }
}

/** The number of a message that cannot be read otherwise: its sender waits for an answer. */
function numberIn(payload: Uint8Array): number | undefined {
  try {
    return numberOf(parseJson(payload))
  } catch {
    return undefined
  }
}
