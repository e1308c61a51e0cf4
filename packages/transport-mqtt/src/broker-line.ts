import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { aborted, throwIfAborted } from '@reflash/core'
import type { IClientOptions, MqttClient } from 'mqtt'
import { type CheckedBroker, secureOptions } from './broker-options.ts'
import { endClient, goodbyeMs } from './end-client.ts'
import type { LineLimits } from './limits.ts'
import { fail } from './mqtt-errors.ts'
import { publishHead } from './wire/publish-head.ts'

export interface PublishOptions {
  readonly qos: 0 | 1
  readonly retain?: boolean
}

export type OnMessage = (topic: string, payload: Uint8Array) => void

/** One connection to a broker, which comes back by itself. Nothing is kept for later while it is away: who asked asks again. */
export interface BrokerLine {
  readonly isConnected: boolean
  /** Bytes of a message that the broker takes. */
  maxPacketBytes(): number
  /**
   * Resolves once the message is in the socket's buffer (QoS 0), which has room for few, or with the broker (QoS 1).
   * @throws `BROKER_UNREACHABLE`, `BROKER_REFUSED`
   */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void>
  /** As `publish` with QoS 0 of `head` and `rest` as one payload; `rest` is not copied, and stays as it is. @throws `BROKER_UNREACHABLE` */
  publishPieces(topic: string, head: Uint8Array, rest: Uint8Array): Promise<void>
  /** Also after the line came back. @throws `BROKER_UNREACHABLE`, `BROKER_REFUSED` */
  subscribe(filter: string): Promise<void>
  unsubscribe(filter: string): Promise<void>
  /** Returns how to stop listening. */
  onMessage(listener: OnMessage): () => void
  /** Called each time that the line has come back. */
  onReturn(listener: () => void): () => void
  /** Lets what was published go out, and leaves. */
  close(): Promise<void>
}

/** @throws `BROKER_UNREACHABLE`, `BROKER_REFUSED`, `BROKER_UNSUPPORTED`, `ABORTED` */
export async function openLine(broker: CheckedBroker, limits: LineLimits, signal?: AbortSignal): Promise<BrokerLine> {
  throwIfAborted(signal)
  // Loaded at the first use: it takes a tenth of a second.
  const { connect } = await import('mqtt')
  throwIfAborted(signal)
  const client = connect(clientOptions(broker, limits))
  // One for each message under way, which are bounded.
  client.setMaxListeners(0)
  backOff(client, limits.reconnectMs)
  const line = lineOf(client, limits, broker.version)
  try {
    await firstConnection(client, broker, limits.connectMs, signal)
    return line
  } catch (error) {
    client.end(true)
    throw error
  }
}

function clientOptions(broker: CheckedBroker, limits: LineLimits): IClientOptions {
  const { host, port, isTls, version, username, password, tls, clientId } = broker
  return {
    protocol: isTls ? 'mqtts' : 'mqtt',
    host,
    port,
    protocolVersion: version === '5' ? 5 : 4,
    clientId: clientId ?? `reflash-${randomBytes(8).toString('hex')}`,
    clean: true,
    keepalive: limits.keepaliveSeconds,
    connectTimeout: limits.connectMs,
    reconnectPeriod: Math.ceil(limits.reconnectMs / 20),
    // Credentials may be changed at the broker while this runs.
    reconnectOnConnackError: true,
    queueQoSZero: false,
    resubscribe: true,
    // The client's own log would show whole packets, the password among them, to who sets DEBUG.
    log: () => {},
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(version === '5' ? { properties: { maximumPacketSize: limits.packetBytes } } : {}),
    ...(isTls ? { rejectUnauthorized: true, ...(secureOptions(tls ?? {}) as object) } : {}),
    ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
  }
}

/** Doubles the pause with each attempt, with jitter, so that a fleet does not come back in one wave. */
function backOff(client: MqttClient, longestMs: number): void {
  const first = Math.ceil(longestMs / 20)
  let longest = first
  client.on('connect', () => {
    longest = first
    client.options.reconnectPeriod = first
  })
  client.on('reconnect', () => {
    longest = Math.min(longest * 2, longestMs)
    client.options.reconnectPeriod = Math.ceil(longest * (0.5 + Math.random() / 2))
  })
}

const refused: ReadonlySet<unknown> = new Set([2, 4, 5, 133, 134, 135, 138, 140])
const unsupported: ReadonlySet<unknown> = new Set([1, 132])

function firstConnection(client: MqttClient, { address, version }: CheckedBroker, limitMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let last: unknown
    const end = (settle: () => void): void => {
      clearTimeout(timer)
      client.off('connect', connected)
      client.off('error', failed)
      signal?.removeEventListener('abort', left)
      // Whatever comes later is a line that comes back, or does not: who uses it hears of it.
      client.on('error', () => {})
      settle()
    }
    const connected = (): void => end(resolve)
    const left = (): void => end(() => reject(aborted(signal as AbortSignal)))
    const failed = (error: Error & { readonly code?: unknown }): void => {
      last = error
      const found = String(error.code ?? 'an error')
      if (refused.has(error.code)) {
        const message = `${address}: expected that the broker lets this client in, found reason code ${found}`
        end(() => reject(fail('BROKER_REFUSED', message, { cause: error })))
      } else if (unsupported.has(error.code)) {
        const message = `${address}: expected a broker that speaks MQTT ${version}, found reason code ${found}`
        end(() => reject(fail('BROKER_UNSUPPORTED', message, { cause: error })))
      }
    }
    const timer = setTimeout(() => {
      const found = (last as NodeJS.ErrnoException | undefined)?.code ?? 'no answer'
      const message = `${address}: expected an MQTT broker within ${limitMs} ms, found ${found}`
      end(() => reject(fail('BROKER_UNREACHABLE', message, last === undefined ? {} : { cause: last })))
    }, limitMs)
    client.on('connect', connected)
    client.on('error', failed)
    signal?.addEventListener('abort', left, { once: true })
  })
}

function lineOf(client: MqttClient, limits: LineLimits, version: '5' | '3.1.1'): BrokerLine {
  const listeners = new Set<OnMessage>()
  const returns = new Set<() => void>()
  /** Who waits for room in the socket's buffer, in their order. */
  const waiting: (() => void)[] = []
  /** The connection whose buffer is heard to be empty again. */
  let flowing: MqttClient['stream'] | undefined
  let isClosed = false
  let inflight = 0
  let packetBytes = Number.MAX_SAFE_INTEGER
  client.on('message', (topic, payload, { retain }) => {
    // Nothing of this protocol is retained: it is old, or somebody's who wants it to be heard at every start.
    if (retain) return
    for (const listener of listeners) listener(topic, payload)
  })
  client.on('connect', ({ properties }) => {
    packetBytes = properties?.maximumPacketSize ?? Number.MAX_SAFE_INTEGER
    for (const listener of returns) listener()
  })
  client.on('close', letIn)

  const gone = (cause?: unknown): Error => {
    const message = 'expected a connection to the broker, found none'
    return fail('BROKER_UNREACHABLE', message, cause === undefined ? {} : { cause })
  }
  const isUp = (): boolean => client.connected && !isClosed
  const isFull = (): boolean => isUp() && client.stream.writableNeedDrain

  /** Lets in the first that waits, and then the next until the buffer is full again: each writes at once. */
  function letIn(): void {
    if (isFull()) return
    waiting.shift()?.()
    if (waiting.length > 0) queueMicrotask(letIn)
  }

  // Heard from the first that waits on, and not from 'connect' on: the client repeats what was not acknowledged before it says that it is connected,
  // and the buffer may fill and empty meanwhile.
  function room(): Promise<void> | undefined {
    if (!isFull() && waiting.length === 0) return undefined
    if (flowing !== client.stream) {
      flowing = client.stream
      flowing.on('drain', letIn)
    }
    return new Promise((resolve) => waiting.push(resolve))
  }

  function send(topic: string, payload: Uint8Array, retain: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let isDone = false
      const settle = (error?: unknown): void => {
        if (isDone) return
        isDone = true
        client.off('close', closed)
        if (error === undefined || error === null) resolve()
        else reject(sendError(error, topic))
      }
      const closed = (): void => settle(gone())
      client.on('close', closed)
      client.publish(topic, payload as Buffer, { qos: 1, retain }, (error) => settle(error))
    })
  }

  function sendError(error: unknown, topic: string): unknown {
    const { code } = error as { readonly code?: unknown }
    if (typeof code !== 'number' || code < 128) return error instanceof Error && error.name === 'OtaError' ? error : gone(error)
    return fail('BROKER_REFUSED', `${topic}: expected that the broker takes the message, found reason code ${code}`, { cause: error })
  }

  // By ourselves: the client library takes one buffer as payload, so that the bytes of an image would have to be copied behind their head.
  async function publishPieces(topic: string, head: Uint8Array, rest: Uint8Array): Promise<void> {
    const turn = room()
    if (turn !== undefined) await turn
    if (!isUp()) throw gone()
    const { stream } = client
    // All that is written before the next tick goes out by one call.
    stream.cork()
    process.nextTick(uncork, stream)
    stream.write(publishHead(version, topic, head, rest.length))
    if (rest.length > 0) stream.write(rest)
  }

  return {
    get isConnected() {
      return isUp()
    },
    maxPacketBytes: () => packetBytes,
    publishPieces,
    async publish(topic, payload, { qos, retain = false }) {
      if (qos === 0 && !retain) return publishPieces(topic, nothing, payload)
      const turn = room()
      if (turn !== undefined) await turn
      if (!isUp()) throw gone()
      if (inflight >= limits.inflight) throw gone(new Error(`${inflight} messages wait to be acknowledged`))
      inflight += 1
      try {
        await send(topic, payload, retain)
      } finally {
        inflight -= 1
      }
    },
    async subscribe(filter) {
      if (!isUp()) throw gone()
      try {
        const granted = await client.subscribeAsync(filter, { qos: 1 })
        if (granted.every(({ qos }) => qos < 128)) return
      } catch (cause) {
        const code = refusalIn(cause)
        if (code === undefined) throw gone(cause)
        // MQTT 5, 3.9.3: shared subscriptions not supported.
        const power = code === 158 ? 'BROKER_UNSUPPORTED' : 'BROKER_REFUSED'
        throw fail(power, `${filter}: expected to be subscribed, found reason code ${code}`, { cause })
      }
      throw fail('BROKER_REFUSED', `${filter}: expected to be subscribed, found that the broker refuses; look at its access list`)
    },
    async unsubscribe(filter) {
      if (!isUp()) return
      const answered = client.unsubscribeAsync(filter).catch(() => undefined)
      // A broker that says nothing is found out by its keepalive, long after this server should have ended.
      await Promise.race([answered, pause(goodbyeMs, undefined, { ref: false })])
    },
    onMessage(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    onReturn(listener) {
      returns.add(listener)
      return () => void returns.delete(listener)
    },
    async close() {
      if (isClosed) return
      isClosed = true
      await endClient(client)
      listeners.clear()
      returns.clear()
    },
  }
}

/** The reason code of a subscription that the broker refuses: the client tells the broker's answer, and no code. */
function refusalIn(cause: unknown): number | undefined {
  const { packet } = cause as { readonly packet?: { readonly granted?: readonly unknown[] } }
  return packet?.granted?.find((code): code is number => typeof code === 'number' && code >= 128)
}

const nothing = new Uint8Array()
const uncork = (stream: MqttClient['stream']): void => stream.uncork()
