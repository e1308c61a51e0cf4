import { describe, expect, it } from 'vitest'
import { floodTable, runFloods } from './flood-scenes.ts'
import { floods } from './floods.ts'

const devices = 20
const times = Number(process.env.REFLASH_SOAK ?? '1')

describe('hostile clients, at length', () => {
  it.each(floods)(`$name: ${devices} devices update all the same`, async (flood) => {
    for (let time = 0; time < times; time++) {
      const result = await runFloods([flood], devices)
      console.log(floodTable([result]))
      expect(result).toMatchObject({ confirmed: devices, fleet: { confirmed: devices }, healthy: true })
    }
  })
})
