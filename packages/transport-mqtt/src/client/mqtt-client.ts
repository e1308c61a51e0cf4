import {
  type ByteStream,
  type CallOptions,
  coreError,
  type DeviceState,
  type Evidence,
  isDeviceId,
  isOtaError,
  type Report,
  throwIfAborted,
} from '@reflash/core'
import { type BrokerLine, openLine } from '../broker-line.ts'
import { type BrokerOptions, checkBroker } from '../broker-options.ts'
import { fail } from '../mqtt-errors.ts'
import { sharedLine } from '../shared-line.ts'
import { decodeAnswer } from '../wire/answer.ts'
import { encodeCheckIn } from '../wire/check-in.ts'
import type { MqttAnswer, MqttComponent, MqttOffer } from '../wire/check-in-answer.ts'
import { decodeChunk } from '../wire/chunk.ts'
import { decodeNotice, type Notice } from '../wire/notice.ts'
import { encodeReport } from '../wire/report.ts'
import { checkClientLimits, type MqttClientLimits } from './client-limits.ts'
import { type DownloadEars, type DownloadScene, download, type MqttDownloadOptions } from './download.ts'
import type { LocalAgent } from './local-agent.ts'
import { questions } from './questions.ts'
import { type AgentRuntime, agentRuntime } from './serve-agent.ts'

export interface MqttClientOptions extends BrokerOptions {
  readonly deviceId: string
  /** Shown in each message, where the broker does not say who is who. Whoever may read `{prefix}/v1/up/#` at the broker reads it. */
  readonly token?: string
  readonly limits?: Partial<MqttClientLimits>
}

/** What a device says at check-in. */
export interface MqttState extends Partial<Omit<DeviceState, 'id' | 'labels'>> {
  readonly evidence?: Evidence
}

/** A device's side of the protocol. It decides nothing about trust: the device checks what it installs. */
export interface MqttClient {
  /** @throws `MQTT_SERVER_SILENT`, `MQTT_SERVER_REFUSED`, `MQTT_SERVER_BUSY`, `MQTT_REQUEST_REFUSED`, `BROKER_UNREACHABLE`, `BROKER_REFUSED`, `ABORTED` */
  checkIn(state?: MqttState, options?: CallOptions): Promise<MqttAnswer>
  /** The bytes of an offered image; memory stays at two parts of `limits.requestBytes`. @throws as `checkIn` */
  download(offer: Pick<MqttOffer, 'seq'>, component: MqttComponent, options?: MqttDownloadOptions): ByteStream
  /** @throws as `checkIn` */
  report(seq: number, report: Report, options?: CallOptions): Promise<void>
  /** Lets servers push to this device until it is disposed. @throws `BROKER_UNREACHABLE`, `BROKER_REFUSED`, `ABORTED` */
  serveAgent(agent: LocalAgent, options?: CallOptions): Promise<AsyncDisposable>
  /** Hears that a version is there, until it is disposed. @throws as `serveAgent` */
  onNotice(listener: (notice: Notice) => void, options?: CallOptions): Promise<AsyncDisposable>
  close(): Promise<void>
}

const ofImage = { kind: 'image' } as const

/**
 * Makes a client for one device. No I/O until the first call; its connection then stays, and comes back by itself, until `close`.
 * @throws `INVALID_OPTIONS`
 */
export function mqttClient(options: MqttClientOptions): MqttClient {
  const broker = checkBroker(options)
  const { deviceId, token } = options
  if (!isDeviceId(deviceId)) throw coreError('INVALID_OPTIONS', 'deviceId: expected 1 to 128 of A-Z a-z 0-9 . _ : + = @ -, found another')
  if (token !== undefined && (typeof token !== 'string' || token.length === 0 || token.length > 1024)) {
    throw coreError('INVALID_OPTIONS', 'token: expected text of 1 to 1024 letters, found something else')
  }
  const limits = checkClientLimits(options.limits)
  const { topics } = broker
  const imageTopic = topics.down(deviceId, 'image')
  const asked = questions(limits)
  const ears = new Map<number, DownloadEars>()
  const notices = new Set<(notice: Notice) => void>()
  const shown = token === undefined ? {} : { token }
  let runtime: AgentRuntime | undefined
  let isClosed = false

  const shared = sharedLine(async (signal) => {
    const line = await openLine(broker, limits, signal)
    line.onMessage(heard)
    try {
      await line.subscribe(topics.downFilter(deviceId))
    } catch (error) {
      await line.close()
      throw error
    }
    return line
  })
  let kept: ReturnType<typeof shared.hold> | undefined

  async function lineFor(signal: AbortSignal | undefined): Promise<BrokerLine> {
    throwIfAborted(signal)
    if (isClosed) throw fail('CONNECTION_CLOSED', 'expected an open client, found that it was closed')
    // Held once for all that this client does, and by each call of its own for as long as it is opened, so that a caller may leave.
    kept ??= shared.hold(undefined)
    kept.catch(() => {
      kept = undefined
    })
    const own = await shared.hold(signal)
    await own.release()
    return own.line
  }

  function heard(topic: string, payload: Uint8Array): void {
    // Chunks are many: their topic is not taken apart.
    const about = topic === imageTopic ? ofImage : topics.parseDown(topic)
    if (about === undefined || payload.length > limits.packetBytes) return
    try {
      if (about.kind === 'answer') {
        const answer = decodeAnswer(payload)
        if (!asked.heard(answer)) ears.get(answer.re)?.answer(answer)
      } else if (about.kind === 'image') {
        const chunk = decodeChunk(payload)
        ears.get(chunk.transfer)?.chunk(chunk)
      } else if (about.kind === 'agent') runtime?.command(payload)
      else if (about.kind === 'chunk') runtime?.chunk(about.instance as string, payload)
      else {
        const notice = decodeNotice(payload)
        for (const listener of notices) listener(notice)
      }
    } catch (error) {
      // Damaged or not of this protocol: what was asked for is asked for again.
      if (!isOtaError(error)) throw error
    }
  }

  function downloaded(seq: number, component: MqttComponent, how: MqttDownloadOptions): ByteStream {
    const listen = (re: number, each: DownloadEars): (() => void) => {
      ears.set(re, each)
      return () => void ears.delete(re)
    }
    const open = async (): Promise<DownloadScene> => ({
      line: await lineFor(how.signal),
      topic: topics.up(deviceId, 'image'),
      token,
      limits,
      listen,
    })
    return download(open, seq, component, how)
  }

  return Object.freeze<MqttClient>({
    async checkIn({ evidence, ...state } = {}, { signal } = {}) {
      const line = await lineFor(signal)
      const topic = topics.up(deviceId, 'check-in')
      const said = { ...shown, state, ...(evidence === undefined ? {} : { evidence }) }
      const { checkIn } = await asked.ask(line, topic, (re) => encodeCheckIn({ re, ...said }), signal)
      if (checkIn === undefined) throw fail('INVALID_MESSAGE', 'checkIn: expected an answer to a check-in, found another')
      return checkIn
    },
    download: ({ seq }, component, how = {}) => downloaded(seq, component, how),
    async report(seq, report, { signal } = {}) {
      const line = await lineFor(signal)
      await asked.ask(line, topics.up(deviceId, 'report'), (re) => encodeReport({ re, ...shown, seq, report }), signal)
    },
    async serveAgent(agent, { signal } = {}) {
      const line = await lineFor(signal)
      if (runtime !== undefined) throw coreError('INVALID_OPTIONS', 'serveAgent: expected no other agent of this client, found one')
      const served = agentRuntime({ deviceId, token, line, topics, limits, agent })
      runtime = served
      return {
        async [Symbol.asyncDispose]() {
          if (runtime === served) runtime = undefined
          await served.close()
        },
      }
    },
    async onNotice(listener, { signal } = {}) {
      await lineFor(signal)
      notices.add(listener)
      return { [Symbol.asyncDispose]: async () => void notices.delete(listener) }
    },
    async close() {
      isClosed = true
      asked.close()
      for (const each of [...ears.values()]) each.close()
      await runtime?.close()
      runtime = undefined
      await shared.close()
    },
  })
}
