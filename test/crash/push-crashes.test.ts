import { afterAll, beforeAll, describe, it } from 'vitest'
import { everyFault } from './support/every-fault.ts'
import { expectWhole } from './support/expect-table.ts'
import { pushScenes } from './support/scenes.ts'
import { type Stage, stage } from './support/stage.ts'

let at: Stage
beforeAll(async () => {
  at = await stage()
})
afterAll(() => at?.remove())

describe('a server that is killed between any two journal writes of a push', () => {
  it.each(['agent', 'agent, self-test fails', 'agent, proven by evidence', 'flash, ESP32, signed'])(
    'goes on with it after its restart, to the right end: %s',
    async (name) => {
      const scene = pushScenes(at.releases).find((one) => one.name === `push: ${name}`)
      if (scene === undefined) throw new Error(`expected a scene of that name, found none: ${name}`)
      // What fails goes the same way up to its end: the table (npm run crashes) takes both moments of it too.
      const moments = scene.ends === 'failed' ? (['before'] as const) : (['before', 'after'] as const)
      expectWhole(await everyFault(scene, at.factory, at.folder, { moments }), scene.ends, moments.length)
    },
    120_000,
  )
})
