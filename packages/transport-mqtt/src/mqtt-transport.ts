import { randomBytes } from 'node:crypto'
import {
  type AgentPort,
  type Authenticator,
  type CallOptions,
  type Connection,
  coreError,
  type Device,
  isDeviceId,
  type Plugin,
  type ServeContext,
  type Serving,
  throwIfAborted,
} from '@reflash/core'
import { type AgentLink, agentLink } from './agent/agent-link.ts'
import { agentPort } from './agent/agent-port.ts'
import { type BrokerLine, openLine } from './broker-line.ts'
import { type BrokerOptions, checkBroker } from './broker-options.ts'
import { checkLimits, defaultMqttLimits, type MqttLimits } from './limits.ts'
import { fail } from './mqtt-errors.ts'
import type { OnMqttRecord } from './mqtt-record.ts'
import { createMqttService, type PullKind } from './serve/mqtt-service.ts'
import { sharedLine } from './shared-line.ts'
import { isTopic, otafluxTopicOf } from './topics.ts'
import { encodeNotice, type Notice } from './wire/notice.ts'

export interface MqttTransportOptions extends BrokerOptions {
  /** Who may be at the other end of `connect`, which has no context of its own; needed for it. `serve` takes those of its context. */
  readonly authenticators?: readonly Authenticator[]
  /** The group of a shared subscription, one for all replicas, so that each message goes to one of them. Absent: this is the only server. */
  readonly share?: string
  /** Where OtaFlux's notification is published too: `{otafluxTopic}/{device}`, retained. */
  readonly otafluxTopic?: string
  readonly limits?: Partial<MqttLimits>
  /** Gets one record per message of a device that pulls; never a token. */
  readonly onRecord?: OnMqttRecord
}

/** A transport over an MQTT broker: devices that pull, agents that are pushed to, and notices. */
export interface MqttTransport extends Plugin<'transport'> {
  readonly uses: 'agent'
  connect(device: Device, options?: CallOptions): Promise<Connection<'agent'>>
  serve(context: ServeContext, options?: CallOptions): Promise<Serving>
  close(): Promise<void>
  /**
   * Tells a device that a version is there: it checks in and learns what it may have. Resolves once the broker has it.
   * @throws `BROKER_UNREACHABLE`, `BROKER_REFUSED`, `ABORTED`
   */
  announce(deviceId: string, notice: Notice, options?: CallOptions): Promise<void>
}

const pullKinds: readonly PullKind[] = ['check-in', 'report', 'image']

/**
 * Makes the transport for devices behind an MQTT broker. No I/O before the first call; one connection for everything, which comes back by
 * itself. `serve` resolves once it is subscribed; disposing takes no more messages, lets running answers end within `limits.drainMs`, and then
 * cuts them.
 * @throws `INVALID_OPTIONS`; its calls throw `BROKER_UNREACHABLE`, `BROKER_REFUSED`, `BROKER_UNSUPPORTED`, `CONNECTION_CLOSED`, `ABORTED`;
 * `connect` throws `DEVICE_SILENT`, `DEVICE_NOT_AUTHENTICATED` besides
 */
export function mqttTransport(options: MqttTransportOptions): MqttTransport {
  const broker = checkBroker(options)
  const limits = checkLimits(options.limits, defaultMqttLimits)
  const { authenticators, share, otafluxTopic, onRecord } = options
  if (share !== undefined && (typeof share !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(share))) {
    throw coreError('INVALID_OPTIONS', 'share: expected a name of 1 to 64 of A-Z a-z 0-9 _ -, found another')
  }
  if (otafluxTopic !== undefined && !isTopic(otafluxTopic)) {
    throw coreError('INVALID_OPTIONS', 'otafluxTopic: expected a topic without wildcards and without a slash at its end, found another')
  }
  if (authenticators !== undefined && !Array.isArray(authenticators)) {
    throw coreError('INVALID_OPTIONS', 'authenticators: expected a list of authenticators, found something else')
  }
  if (onRecord !== undefined && typeof onRecord !== 'function') {
    throw coreError('INVALID_OPTIONS', 'onRecord: expected a function, found something else')
  }
  const { topics } = broker
  const instance = randomBytes(8).toString('hex')
  const shared = sharedLine((signal) => openLine(broker, limits, signal))
  const links = new Map<string, Set<AgentLink>>()
  const ends = new Set<() => Promise<void>>()
  let closing: Promise<void> | undefined

  function expectOpen(signal: AbortSignal | undefined): void {
    throwIfAborted(signal)
    if (closing !== undefined) throw fail('CONNECTION_CLOSED', 'expected an open transport, found that it was closed')
  }

  function route(topic: string, payload: Uint8Array): void {
    const from = topics.parseUp(topic)
    if (from === undefined || (from.kind !== 'agent' && from.kind !== 'ack')) return
    for (const link of links.get(from.deviceId) ?? []) link.heard(from.kind, payload)
  }

  /** Once for each line: what devices say to this process alone. */
  const listening = new WeakMap<BrokerLine, Promise<void>>()
  function listen(line: BrokerLine): Promise<void> {
    const known = listening.get(line)
    if (known !== undefined) return known
    line.onMessage(route)
    const subscribed = Promise.all([line.subscribe(topics.upFilter('agent', instance)), line.subscribe(topics.upFilter('ack', instance))])
    const all = subscribed.then(() => undefined)
    listening.set(line, all)
    all.catch(() => listening.delete(line))
    return all
  }

  function attach(link: AgentLink): () => void {
    const known = links.get(link.deviceId) ?? new Set()
    links.set(link.deviceId, known.add(link))
    return () => {
      known.delete(link)
      if (known.size === 0 && links.get(link.deviceId) === known) links.delete(link.deviceId)
    }
  }

  async function connect({ id }: Device, { signal = never }: CallOptions = {}): Promise<Connection<'agent'>> {
    expectOpen(signal)
    if (!isDeviceId(id)) throw coreError('INVALID_STATE', 'expected a device id of A-Z a-z 0-9 . _ : + = @ -, found another')
    if (authenticators === undefined) throw coreError('INVALID_OPTIONS', 'authenticators: expected some for connect(), found none')
    const held = await shared.hold(signal)
    const { line } = held
    const link = agentLink({ deviceId: id, line, topics, instance, limits, authenticators })
    const detach = attach(link)
    let ended: Promise<void> | undefined
    const end = (): Promise<void> => {
      ends.delete(end)
      ended ??= (async () => {
        link.close()
        detach()
        await held.release()
      })()
      return ended
    }
    ends.add(end)
    try {
      await listen(line)
      const hello = await link.call({ do: 'hello' }, { signal, silenceMs: limits.silenceMs })
      const port: AgentPort = agentPort({ link, hello, limits, dispose: end })
      return Object.freeze<Connection<'agent'>>({
        port,
        principal: link.principal(),
        ...(hello.can.includes('evidence')
          ? {
              evidence: (challenge, context) =>
                link.call({ do: 'evidence', challenge }, { signal: context.signal, silenceMs: limits.silenceMs }),
            }
          : {}),
        [Symbol.asyncDispose]: end,
      })
    } catch (error) {
      await end()
      throw error
    }
  }

  async function serve(context: ServeContext, { signal }: CallOptions = {}): Promise<Serving> {
    expectOpen(signal)
    const held = await shared.hold(signal)
    const { line } = held
    const service = createMqttService({ ...context, line, topics, limits, onRecord })
    const filters = pullKinds.map((kind) => `${share === undefined ? '' : `$share/${share}/`}${topics.upFilter(kind)}`)
    const stop = line.onMessage((topic, payload) => {
      const from = topics.parseUp(topic)
      if (from === undefined || from.kind === 'agent' || from.kind === 'ack') return
      service.handle(from.deviceId, from.kind, payload)
    })
    let ended: Promise<void> | undefined
    const end = (): Promise<void> => {
      ends.delete(end)
      ended ??= (async () => {
        // First, so that what comes from now on goes to another replica.
        await Promise.all(filters.map((filter) => line.unsubscribe(filter)))
        stop()
        await service.drain()
        await held.release()
      })()
      return ended
    }
    ends.add(end)
    try {
      await Promise.all(filters.map((filter) => line.subscribe(filter)))
      throwIfAborted(signal)
    } catch (error) {
      await end()
      throw error
    }
    return Object.freeze<Serving>({ addresses: [broker.address], [Symbol.asyncDispose]: end })
  }

  async function announce(deviceId: string, notice: Notice, { signal }: CallOptions = {}): Promise<void> {
    expectOpen(signal)
    if (!isDeviceId(deviceId)) throw coreError('INVALID_STATE', 'expected a device id of A-Z a-z 0-9 . _ : + = @ -, found another')
    const { line, release } = await shared.hold(signal)
    try {
      const payload = encodeNotice(notice)
      await line.publish(topics.down(deviceId, 'notice'), payload, { qos: 1 })
      if (otafluxTopic === undefined) return
      await line.publish(otafluxTopicOf(otafluxTopic, deviceId), payload, { qos: 1, retain: true })
    } finally {
      await release()
    }
  }

  return Object.freeze<MqttTransport>({
    kind: 'transport',
    name: 'mqtt',
    spec: 0,
    uses: 'agent',
    connect,
    serve,
    announce,
    close() {
      closing ??= (async () => {
        await Promise.all([...ends].map((end) => end()))
        await shared.close()
      })()
      return closing
    },
  })
}

const never = new AbortController().signal
