import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { aborted, throwIfAborted } from '@reflash/core'
import type { IClientOptions, MqttClient } from 'mqtt'
import { type CheckedBroker, secureOptions } from './broker-options.ts'
import type { LineLimits } from './limits.ts'
import { fail } from './mqtt-errors.ts'

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
   * Resolves once the message is with the kernel (QoS 0) or with the broker (QoS 1).
   * @throws `BROKER_UNREACHABLE`, `BROKER_REFUSED`
   */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void>
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

/** How long a goodbye may take; the broker needs none. */
const goodbyeMs = 2_000

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
  const line = lineOf(client, limits)
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

function lineOf(client: MqttClient, limits: LineLimits): BrokerLine {
  const listeners = new Set<OnMessage>()
  const returns = new Set<() => void>()
  let isClosed = false
  let inflight = 0
  let full: Promise<void> | undefined
  let packetBytes = Number.MAX_SAFE_INTEGER
  client.on('message', (topic, payload) => {
    for (const listener of listeners) listener(topic, payload)
  })
  client.on('connect', ({ properties }) => {
    packetBytes = properties?.maximumPacketSize ?? Number.MAX_SAFE_INTEGER
    for (const listener of returns) listener()
  })

  const gone = (cause?: unknown): Error => {
    const message = 'expected a connection to the broker, found none'
    return fail('BROKER_UNREACHABLE', message, cause === undefined ? {} : { cause })
  }
  const isUp = (): boolean => client.connected && !isClosed

  function send(topic: string, payload: Uint8Array, { qos, retain = false }: PublishOptions): Promise<void> {
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
      client.publish(topic, payload as Buffer, { qos, retain }, (error) => settle(error))
      // Where the socket is full the client waits for it to drain, and for ever where it never does.
      if (!isDone) client.on('close', closed)
    })
  }

  function sendError(error: unknown, topic: string): unknown {
    const { code } = error as { readonly code?: unknown }
    if (typeof code !== 'number' || code < 128) return error instanceof Error && error.name === 'OtaError' ? error : gone(error)
    return fail('BROKER_REFUSED', `${topic}: expected that the broker takes the message, found reason code ${code}`, { cause: error })
  }

  return {
    get isConnected() {
      return isUp()
    },
    maxPacketBytes: () => packetBytes,
    async publish(topic, payload, options) {
      while (full !== undefined && isUp()) await full
      if (!isUp()) throw gone()
      if (options.qos === 0) {
        const sent = send(topic, payload, options)
        const drained = sent.then(
          () => {},
          () => {},
        )
        if (client.stream.writableNeedDrain) {
          full = drained
          void drained.then(() => {
            if (full === drained) full = undefined
          })
        }
        return sent
      }
      if (inflight >= limits.inflight) throw gone(new Error(`${inflight} messages wait to be acknowledged`))
      inflight += 1
      try {
        await send(topic, payload, options)
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
      await ended(client)
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

/** The client's own end waits for acknowledgements, and for ever where none come. */
function ended(client: MqttClient): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      client.end(true)
      client.stream?.destroy()
      resolve()
    }, goodbyeMs)
    client.end(!client.connected, () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
