import { describe, it } from 'vitest'
import { hasPostgres } from '../../../store-sql/test/postgres-server.ts'
import { survivesAKilledReplica } from './two-replicas.ts'

describe.skipIf(!hasPostgres())('two replicas on PostgreSQL', () => {
  it('never offer more than the wave nor twice, and count right, also where one is killed', { timeout: 120_000 }, async () => {
    await survivesAKilledReplica(60, 300, 100_000)
  })
})
