import { anonymousDevices, bucketOf, createGateway, createRollout, loadSqlite, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { memoryCache } from '@reflash/core/testing'
import { ociRegistry } from '@reflash/registry-oci'
import { sqlFleet, sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'

/**
 * Fills a store with devices that run 1.0.0, and a deployment over all of them whose first wave was paused. The rows are written past the fleet
 * store: registering each as it checks in takes minutes.
 */
export async function knownFleet(file: string, count: number, repository: string): Promise<void> {
  const fleet = sqlFleet({ file, synchronous: 'normal' })
  await fleet.revision()
  const database = new (loadSqlite().DatabaseSync)(file)
  database.exec('BEGIN')
  const insert = database.prepare("INSERT INTO device (id, model, installed, bucket, version) VALUES (?, 'esp32s3', '1.0.0', ?, 1)")
  for (let n = 0; n < count; n++) insert.run(`d${n}`, bucketOf(`d${n}`))
  database.exec('COMMIT')
  database.close()
  const { composition } = createGateway({
    repository,
    registry: ociRegistry(),
    verifiers: [unsignedArtifacts()],
    targets: [esp32Target()],
    authenticators: [anonymousDevices()],
    attestation: [unattestedDevices()],
    journal: sqlStore({ file }),
    cache: memoryCache(),
    fleet,
  })
  const rollout = createRollout(composition)
  await rollout.create({ id: 'bench', version: '1.1.0', waves: [10, 100] }, { by: 'bench' })
  await rollout.ticker().tick()
  await rollout.pause('bench', { by: 'bench' })
  await composition.close()
}
