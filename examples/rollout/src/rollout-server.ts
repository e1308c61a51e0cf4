import { anonymousDevices, createGateway, createRollout, diskCache, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { ociRegistry } from '@reflash/registry-oci'
import { sqlFleet, sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'

/** A gateway whose devices get what deployments bring them, wave by wave, and nothing else; journal and fleet share one SQLite file. */
export function rolloutServer(repository: string, state: string) {
  const store = { file: `${state}/reflash.db` }
  const open = { verifiers: [unsignedArtifacts()], authenticators: [anonymousDevices()], attestation: [unattestedDevices()] }
  const parts = { registry: ociRegistry(), targets: [esp32Target()], cache: diskCache({ directory: `${state}/cache` }) }
  const gateway = createGateway({ ...open, ...parts, repository, journal: sqlStore(store), fleet: sqlFleet(store) })
  return { gateway, authenticators: open.authenticators, rollout: createRollout(gateway.composition) }
}
