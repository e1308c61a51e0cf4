import type { FleetStore, Journal } from '@reflash/core'
import { type FleetStoreInstance, fleetStoreSuite, type JournalInstance, journalSuite } from '@reflash/core/conformance'
import { sqlFleet, sqlStore } from '@reflash/store-sql'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { followRollout, history } from '../../core/test/rollout/rollout-model.ts'
import { hasPostgres, type PostgresServer, startPostgres } from './postgres-server.ts'

let server: PostgresServer
let schemas = 0
const never = { url: 'postgres://nobody@127.0.0.1:1/none' }

/** Plugins over one schema of their own. */
function plugins<P extends FleetStore | Journal>(make: (options: { readonly url: string; readonly schema: string }) => P) {
  schemas += 1
  const schema = `suite_${schemas}`
  const opened = new Set<P>()
  const open = (): P => {
    const plugin = make({ url: server.url, schema })
    opened.add(plugin)
    return plugin
  }
  const plugin = open()
  return {
    plugin,
    again: async () => {
      await plugin.close?.()
      return open()
    },
    second: async () => open(),
    dispose: async () => {
      for (const each of opened) await each.close?.()
    },
  }
}

describe.skipIf(!hasPostgres())('PostgreSQL', () => {
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterAll(() => server?.stop())

  describe('sqlFleet', () => {
    const make = async (): Promise<FleetStoreInstance> => plugins((options) => sqlFleet({ ...options, connections: 4 }))
    fleetStoreSuite({ describe, it }, { make, factory: sqlFleet, options: never })
  })
  it('goes through random histories of a rollout as the model of core does', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const { plugin, dispose } = plugins((options) => sqlFleet({ ...options, connections: 2 }))
        await followRollout(steps, plugin).finally(dispose)
      }),
      { numRuns: 8 },
    )
  })
  describe('sqlStore', () => {
    const make = async ({ now }: { readonly now: () => Date }): Promise<JournalInstance> =>
      plugins((options) => sqlStore({ ...options, now, connections: 4 }))
    journalSuite({ describe, it }, { make, factory: sqlStore, options: never })
  })
})
