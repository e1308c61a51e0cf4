import type { FleetStore, Journal } from '@reflash/core'
import { type FleetStoreInstance, fleetStoreSuite, type JournalInstance, journalSuite } from '@reflash/core/conformance'
import { sqlFleet, sqlStore } from '@reflash/store-sql'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
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

  describe('a schema', () => {
    const query = async (text: string) => {
      const client = new pg.Client({ connectionString: server.url })
      await client.connect()
      await client.query(text).finally(() => client.end())
    }
    const closedAfter = (options: { readonly schema: string; readonly url?: string }): FleetStore => {
      const fleet = sqlFleet({ url: server.url, connections: 2, ...options })
      onTestFinished(() => fleet.close?.())
      return fleet
    }

    it('is refused, untouched, where it is of another program or of a newer version', async () => {
      await query('CREATE SCHEMA others; CREATE TABLE others.entry (id INTEGER)')
      await expect(closedAfter({ schema: 'others' }).revision()).rejects.toMatchObject({ code: 'NOT_A_JOURNAL', fault: 'invalid' })
      await closedAfter({ schema: 'newer' }).revision()
      await query('UPDATE newer.reflash_schema SET version = 99')
      const newer = { code: 'JOURNAL_TOO_NEW', fault: 'unsupported', details: { found: 99 } }
      await expect(closedAfter({ schema: 'newer' }).revision()).rejects.toMatchObject(newer)
    })

    it('is made once, however many begin at the same moment', async () => {
      const fleets = Array.from({ length: 6 }, () => closedAfter({ schema: 'crowded' }))
      expect(await Promise.all(fleets.map((fleet) => fleet.revision()))).toEqual(Array(6).fill('0'))
    })

    it('is unavailable while the server is away, goes on when it is back, and no error shows the password', async () => {
      const fleet = closedAfter({ schema: 'away', url: server.url.replace('ota@', 'ota:hunter2@') })
      const version = await fleet.putDevice({ id: 'd1', bucket: 1, labels: {} }, { ifVersion: null })
      await server.kill()
      const error: unknown = await fleet.device('d1').catch((refusal: unknown) => refusal)
      expect(error).toMatchObject({ code: 'FLEET_UNAVAILABLE', fault: 'unavailable' })
      expect(JSON.stringify(error) + String(error)).not.toContain('hunter2')
      await server.start()
      expect((await fleet.device('d1'))?.version).toBe(version)
    })
  })
})
