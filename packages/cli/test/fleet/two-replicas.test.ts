import { describe, it } from 'vitest'
import { hasPostgres } from '../../../store-sql/test/postgres-server.ts'
import { survivesAKilledReplica } from './two-replicas.ts'

describe.skipIf(!hasPostgres())('two replicas on PostgreSQL', () => {
  it('never offer more than the wave nor twice, and count right, also where one is killed', { timeout: 120_000 }, async () => {
    const count = Number(process.env.REFLASH_FLEET ?? 60)
    await survivesAKilledReplica(count, count > 200 ? 2_000 : 300, 100_000)
  })
})
