import { createGateway, diskCache, type Serving, tokenDevices, unattestedDevices } from '@reflash/core'
import { cosignVerifier, ociRegistry } from '@reflash/registry-oci'
import { sqlStore } from '@reflash/store-sql'
import { swupdateTarget } from '@reflash/target-swupdate'
import { hawkbitDialect, httpTransport } from '@reflash/transport-http'

/** What this server is told from outside. */
export interface Settings {
  readonly repository: string
  /** Of the releases: cosign's public key, PEM. */
  readonly publicKey: string
  /** Of sw-description: the certificate of its signer, PEM. */
  readonly signer: string
  readonly tokens: Readonly<Record<string, string>>
  readonly state: string
  readonly listen: string
}

/** The whole update system: signed .swu updates from an OCI registry, offered to devices that have SWUpdate, a token, and hawkBit's API. */
export async function updateServer({ repository, publicKey, signer, tokens, state, listen }: Settings): Promise<Serving> {
  const [registry, journal, cache] = [ociRegistry(), sqlStore({ file: `${state}/journal.db` }), diskCache({ directory: `${state}/cache` })]
  const verifiers = [cosignVerifier({ keys: [publicKey] })]
  const targets = [swupdateTarget({ models: ['gate'], signers: [signer], platform: 'linux/arm64' })]
  const [authenticators, attestation] = [[tokenDevices(tokens)], [unattestedDevices()]]
  const gateway = createGateway({ repository, product: 'gate', registry, verifiers, targets, authenticators, attestation, journal, cache })
  const serving = await httpTransport({ listen, dialects: [hawkbitDialect({ model: 'gate' })] }).serve({ gateway, authenticators })
  return {
    addresses: serving.addresses,
    [Symbol.asyncDispose]: () => serving[Symbol.asyncDispose]().then(() => gateway.composition.close()),
  }
}
