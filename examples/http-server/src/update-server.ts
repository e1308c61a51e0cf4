import { createGateway, diskCache, type Serving, tokenDevices, unattestedDevices } from '@reflash/core'
import { cosignVerifier, ociRegistry } from '@reflash/registry-oci'
import { sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'
import { httpTransport } from '@reflash/transport-http'

/** What this server is told from outside. */
export interface Settings {
  readonly repository: string
  readonly publicKey: string
  readonly tokens: Readonly<Record<string, string>>
  readonly state: string
  readonly listen: string
}

/** The whole update system: signed ESP32 releases from an OCI registry, offered over HTTP to devices that have a token. */
export async function updateServer({ repository, publicKey, tokens, state, listen }: Settings): Promise<Serving> {
  const authenticators = [tokenDevices(tokens)]
  const gateway = createGateway({
    repository,
    product: 'lamp',
    registry: ociRegistry(),
    verifiers: [cosignVerifier({ keys: [publicKey] })],
    targets: [esp32Target()],
    authenticators,
    attestation: [unattestedDevices()],
    journal: sqlStore({ file: `${state}/journal.db` }),
    cache: diskCache({ directory: `${state}/cache` }),
    onEvent: (event) => event.type === 'device' && console.log(event.deviceId, event.version, event.stage, event.status),
  })
  const serving = await httpTransport({ listen }).serve({ gateway, authenticators })
  const close = async () => {
    await serving[Symbol.asyncDispose]()
    await gateway.composition.close()
  }
  return { addresses: serving.addresses, [Symbol.asyncDispose]: close }
}
