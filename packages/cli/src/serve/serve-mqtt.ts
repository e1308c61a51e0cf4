import type { Authenticator, Gateway, Serving } from '@reflash/core'
import { type MqttTransportOptions, mqttTransport } from '@reflash/transport-mqtt'
import type { EmbeddedBroker } from '@reflash/transport-mqtt/broker'
import { announcingGateway } from './announcing-gateway.ts'
import type { MqttServerOptions } from './server-config.ts'
import type { ServerLog } from './server-log.ts'

/** Devices that are served over MQTT. */
export interface MqttServing extends AsyncDisposable {
  /** Where the embedded broker listens; none where the broker is elsewhere. */
  readonly addresses: readonly string[]
  /** What is printed at the start. */
  readonly facts: MqttFacts
  /** The gateway that tells subscribers what devices are offered, also those that come over HTTP. */
  readonly gateway: Gateway
}

export interface MqttFacts {
  readonly broker: string
  readonly version: string
  readonly prefix: string
  readonly share?: string
  readonly otafluxTopic?: string
}

interface Scene {
  readonly gateway: Gateway
  readonly authenticators: readonly Authenticator[]
  readonly log: ServerLog
  readonly signal: AbortSignal
}

/**
 * Serves devices over MQTT until it is disposed: answers that run are ended, then the broker, where it is this process's own.
 * @throws what the transport and the embedded broker throw
 */
export async function serveMqtt(options: MqttServerOptions, { gateway, authenticators, log, signal }: Scene): Promise<MqttServing> {
  const { listen, ...given } = options
  const { prefix = 'reflash', share, otafluxTopic } = options
  const broker = options.url === undefined ? await ownBroker(options, authenticators) : undefined
  const reached = broker === undefined ? { ...given, url: given.url ?? '' } : { ...given, ...broker.server }
  try {
    const transport = mqttTransport({ onRecord: log.message, ...reached } satisfies MqttTransportOptions)
    const told = otafluxTopic === undefined ? gateway : announcingGateway(gateway, transport.announce, log)
    const serving: Serving = await transport.serve({ gateway: told, authenticators }, { signal })
    const [address = ''] = serving.addresses
    return {
      addresses: broker === undefined ? [] : [broker.url],
      facts: {
        broker: broker === undefined ? address : 'embedded',
        version: reached.version ?? '5',
        prefix,
        ...(share === undefined ? {} : { share }),
        ...(otafluxTopic === undefined ? {} : { otafluxTopic }),
      },
      gateway: told,
      async [Symbol.asyncDispose]() {
        await serving[Symbol.asyncDispose]()
        await transport.close()
        await broker?.[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await broker?.[Symbol.asyncDispose]()
    throw error
  }
}

async function ownBroker(
  { listen, tls, prefix, otafluxTopic }: MqttServerOptions,
  authenticators: readonly Authenticator[],
): Promise<EmbeddedBroker> {
  const { cert, key } = tls ?? {}
  // Loaded where it is used: a server without MQTT does not pay for it.
  const { embeddedBroker } = await import('@reflash/transport-mqtt/broker')
  return embeddedBroker({
    authenticators,
    ...(listen === undefined ? {} : { listen }),
    ...(cert === undefined || key === undefined ? {} : { tls: { cert, key } }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(otafluxTopic === undefined ? {} : { otafluxTopic }),
  })
}

/** What a server says at its start of how it is reached over MQTT. */
export function mqttText({ broker, version, prefix, share, otafluxTopic }: MqttFacts): readonly string[] {
  const how = broker === 'embedded' ? 'broker in this process, user name is the id and password the token' : `through ${broker}`
  const group = share === undefined ? '' : `, shared by ${share}`
  const notified = otafluxTopic === undefined ? [] : [`  otaflux   ${otafluxTopic}/<device>`]
  return [`  mqtt      ${how}; MQTT ${version}, topics below ${prefix}/v1${group}`, ...notified]
}
