import { describe, it } from 'vitest'
import { hasPostgres } from '../../../store-sql/test/postgres-server.ts'
import { pausesBreakingImage } from './breaking-image.ts'
import { survivesAKilledReplica } from './two-replicas.ts'

describe('a fleet of 2,000 virtual devices over real sockets', () => {
  it('of which 30 % break on the new image is paused in its first wave', async ({ task }) => {
    // scripts/soak.ts writes it into docs/soak.md.
    Object.assign(task.meta, { facts: await pausesBreakingImage(2_000, 4_000, 600_000) })
  })

  it.skipIf(!hasPostgres())('of two replicas on PostgreSQL, one of which is killed, is never offered too much', async ({ task }) => {
    Object.assign(task.meta, { facts: await survivesAKilledReplica(2_000, 4_000, 600_000) })
  })
})
