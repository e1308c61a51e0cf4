import { createGateway, diskCache, tokenDevices, unattestedDevices } from '@reflash/core'
import { cosignVerifier, ociRegistry } from '@reflash/registry-oci'
import { sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'
import { brokerDevices, mqttTransport } from '@reflash/transport-mqtt'
import { embeddedBroker } from '@reflash/transport-mqtt/broker'

/** What this server is told from outside. */
export interface Settings {
  readonly repository: string
  readonly publicKey: string
  readonly tokens: Readonly<Record<string, string>>
  readonly state: string
  readonly listen: string
}

/** The whole update system with its own broker: signed ESP32 releases, offered over MQTT to devices whose password is their token. */
export async function updateServer({ repository, publicKey, tokens, state, listen }: Settings): Promise<AsyncDisposable & { url: string }> {
  const broker = await embeddedBroker({ listen, authenticators: [tokenDevices(tokens)] })
  const plugins = { registry: ociRegistry(), targets: [esp32Target()], attestation: [unattestedDevices()] }
  const trust = { verifiers: [cosignVerifier({ keys: [publicKey] })], authenticators: [brokerDevices()] }
  const stores = { journal: sqlStore({ file: `${state}/journal.db` }), cache: diskCache({ directory: `${state}/cache` }) }
  const transport = mqttTransport(broker.server)
  const gateway = createGateway({ repository, product: 'lamp', ...plugins, ...trust, ...stores, transports: [transport] })
  await transport.serve({ gateway, authenticators: trust.authenticators })
  const end = () => gateway.composition.close().finally(() => broker[Symbol.asyncDispose]())
  return { url: broker.url, [Symbol.asyncDispose]: end }
}
