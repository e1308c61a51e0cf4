import { describe, expect, it } from 'vitest'
import { cutSteps, settings, shortLife, smallBytes } from '../support/power-cut-scenes.ts'

// Where the machine is busy with other things.
const timeout = 120_000

describe('a device that the agent updates, its power cut at and inside every erase and write', () => {
  // The other two: power-cuts.soak.ts.
  it.each(settings.filter(({ table, rollback }) => (table === 'two slots') === rollback))(
    'boots what it may, and the next attempt succeeds: $table, rollback $rollback',
    { timeout },
    async (setting) => {
      const found = await cutSteps({ ...setting, writer: 'agent', imageBytes: smallBytes }, shortLife, { seeds: [1] })
      expect(found.failures).toEqual([])
      expect(found.unbootable).toBe(0)
      expect(found.operations).toBeGreaterThan(20)
      expect(found.torn).toBeGreaterThan(500)
      // Only what ESP-IDF rewrites by itself: docs/power-cuts.md.
      expect(found.espIdf).toBeLessThanOrEqual(setting.rollback ? 5 : 0)
    },
  )
})
