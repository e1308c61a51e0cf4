import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FleetStore } from '@reflash/core'
import { type FleetStoreInstance, fleetStoreSuite } from '@reflash/core/conformance'
import { sqlFleet } from '@reflash/store-sql'
import fc from 'fast-check'
import { describe, it } from 'vitest'
import { followRollout, history } from '../../core/test/rollout/rollout-model.ts'

async function make(): Promise<FleetStoreInstance> {
  const folder = mkdtempSync(join(tmpdir(), 'sql-fleet-'))
  const opened = new Set<FleetStore>()
  const open = () => {
    const fleet = sqlFleet({ file: join(folder, 'fleet.db'), synchronous: 'normal' })
    opened.add(fleet)
    return fleet
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
      for (const fleet of opened) await fleet.close?.()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

describe('sqlFleet on SQLite', () => {
  it('goes through random histories of a rollout as the model of core does', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const { plugin, dispose } = await make()
        await followRollout(steps, plugin).finally(dispose)
      }),
      { numRuns: 20 },
    )
  })
  fleetStoreSuite({ describe, it }, { make, factory: sqlFleet, options: { file: join(tmpdir(), 'never-opened.db') } })
})
