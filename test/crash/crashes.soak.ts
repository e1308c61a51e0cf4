import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { crashAtRandom, crashSeed } from './support/crash-at-random.ts'
import { everyFault } from './support/every-fault.ts'
import { expectNothingLost } from './support/expect-table.ts'
import { pullScenes } from './support/scenes.ts'
import { type Stage, stage } from './support/stage.ts'

const times = Number(process.env.REFLASH_SOAK ?? '1')

let at: Stage
beforeAll(async () => {
  at = await stage()
})
afterAll(() => at?.remove())

describe('a server that dies again and again', () => {
  it.each(['none', 'proven'] as const)('150 times under 50 devices loses nothing: evidence %s', async (attestation) => {
    const { factory, folder } = at
    expectNothingLost(await crashAtRandom({ factory, folder, attestation, devices: 50, kills: 150 * times, seed: crashSeed() }))
  })

  it('at every file operation of its cache serves nothing half-written', async () => {
    const [scene] = pullScenes(at.releases)
    if (scene === undefined) throw new Error('expected a scene, found none')
    const table = await everyFault(scene, at.factory, at.folder, { of: 'cache' })
    expect(table.problems).toEqual([])
    expect(table.confirmed).toBe(table.runs)
  })
})
