import { describe, expect, test } from 'vitest'
import { floodTable, runFloods } from './flood-scenes.ts'
import { floods } from './floods.ts'

const devices = 100
/** An idle server has 110; 2,900 connections at 14 kB, 32 MiB of buffers, and the garbage of them all on a machine that is busy. */
const mostMiB = 640

describe('hostile clients', () => {
  test(`do not keep ${devices} devices from their update, all of them at once`, async () => {
    const result = await runFloods(floods, devices)
    console.log(floodTable([result]))
    const { fleet, confirmed, peakMiB, healthy } = result
    expect({ ...fleet, confirmed, healthy }).toMatchObject({ confirmed: devices, healthy: true })
    expect(peakMiB).toBeLessThan(mostMiB)
    const ends = new Set(result.floods.flatMap((flood) => [...flood.ends.keys()]))
    expect([...ends].filter((end) => !['200', '400', '408', '413', '431', '503', 'cut', 'open'].includes(end))).toEqual([])
    // Whoever is not borne was ended, many times over.
    for (const { flood, ends: own } of result.floods) {
      const ended = [...own].reduce((sum, [end, count]) => (end === 'open' ? sum : sum + count), 0)
      if (flood.isBorne !== true) expect(ended, flood.name).toBeGreaterThanOrEqual(flood.connections)
    }
  }, 180_000)
})
