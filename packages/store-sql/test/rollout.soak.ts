import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sqlFleet } from '@reflash/store-sql'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { followRollout, history } from '../../core/test/rollout/rollout-model.ts'
import { hasPostgres, type PostgresServer, startPostgres } from './postgres-server.ts'

const times = Number(process.env.REFLASH_SOAK ?? 1)

test('500 random histories of a rollout on SQLite go as the model of core says', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rollout-soak-'))
  let files = 0
  await fc.assert(
    fc.asyncProperty(history, async (steps) => {
      const fleet = sqlFleet({ file: join(folder, `${files++}.db`), synchronous: 'normal' })
      await followRollout(steps, fleet).finally(() => fleet.close?.())
    }),
    { numRuns: 500 * times },
  )
  rmSync(folder, { recursive: true, force: true })
})

describe.skipIf(!hasPostgres())('on PostgreSQL', () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server?.stop())

  test('300 random histories of a rollout go as the model of core says', async () => {
    let schemas = 0
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const fleet = sqlFleet({ url: server.url, schema: `soak_${schemas++}`, connections: 2 })
        await followRollout(steps, fleet).finally(() => fleet.close?.())
      }),
      { numRuns: 300 * times },
    )
  })
})
