import { describe, expect, it } from 'vitest'
import { cutSteps, longLife, settings, shortLife, smallBytes } from '../support/power-cut-scenes.ts'

const times = Number(process.env.REFLASH_SOAK ?? '1')
const seeds = Array.from({ length: 6 * times }, (_, index) => index + 1)
const writers = ['flash driver', 'agent'] as const
const each = settings.flatMap((setting) => writers.map((writer) => ({ ...setting, writer })))

describe('power cuts, at length', () => {
  it.each(each)(`boot what they may: $writer, $table, rollback $rollback, ${seeds.length} seeds`, async (setting) => {
    const found = await cutSteps({ ...setting, imageBytes: smallBytes }, longLife, { seeds, thorough: true })
    expect(found).toMatchObject({ failures: [], unbootable: 0 })
  })

  it.each(each)('boot what they may: $writer, $table, rollback $rollback, images of two blocks', async (setting) => {
    const found = await cutSteps({ ...setting, imageBytes: 60 * 1024 }, shortLife, { seeds: [1] })
    expect(found).toMatchObject({ failures: [], unbootable: 0 })
  })
})
