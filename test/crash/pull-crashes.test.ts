import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { everyFault } from './support/every-fault.ts'
import { expectWhole } from './support/expect-table.ts'
import { pullScenes } from './support/scenes.ts'
import { type Stage, stage } from './support/stage.ts'

let at: Stage
beforeAll(async () => {
  at = await stage()
})
afterAll(() => at?.remove())

describe('a server that is killed between any two journal writes of a pull', () => {
  it.each(['native, ESP32, signed', 'native, ESP32, self-test fails', 'native, proven by evidence', 'OtaFlux'])(
    'leaves no update stuck, falsely confirmed or unheard: %s',
    async (name) => {
      const scene = pullScenes(at.releases).find((one) => one.name === `pull: ${name}`)
      if (scene === undefined) throw new Error(`expected a scene of that name, found none: ${name}`)
      // What fails goes the same way up to its end: the table (npm run crashes) takes both moments of it too.
      const moments = scene.ends === 'failed' ? (['before'] as const) : (['before', 'after'] as const)
      expectWhole(await everyFault(scene, at.factory, at.folder, { moments }), scene.ends, moments.length)
    },
    120_000,
  )
})

describe('a server that is killed at a file operation of its cache', () => {
  const cached = () => {
    const [scene] = pullScenes(at.releases)
    if (scene === undefined) throw new Error('expected a scene, found none')
    return scene
  }

  it('serves nothing half-written afterwards, and no update is stuck', async () => {
    // The soak and the table take each; here every fifth, which is one of every kind.
    const table = await everyFault(cached(), at.factory, at.folder, { of: 'cache', stride: 5, moments: ['before', 'inside'] })
    expect(table.problems).toEqual([])
    expect(table.kills).toBeGreaterThan(5)
    expect(table.confirmed).toBe(table.runs)
  }, 120_000)

  it('serves nothing that was damaged while it was dead', async () => {
    const damaged: string[] = []
    const whileDead = (folder: string): void => {
      const blobs = join(folder, 'cache', 'blobs', 'sha256')
      for (const name of readdirSync(blobs)) {
        const bytes = readFileSync(join(blobs, name))
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
        writeFileSync(join(blobs, name), bytes)
        damaged.push(name)
      }
    }
    // From the write that opens the update on, the cache holds all there is.
    const table = await everyFault(cached(), at.factory, at.folder, { moments: ['after'], first: 5, stride: 2, whileDead })
    expect(table.problems).toEqual([])
    expect(damaged.length).toBeGreaterThan(3)
    expect(table.confirmed).toBe(table.runs)
  }, 120_000)
})
