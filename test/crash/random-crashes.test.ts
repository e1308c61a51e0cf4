import { afterAll, beforeAll, describe, it } from 'vitest'
import { crashAtRandom, crashSeed } from './support/crash-at-random.ts'
import { expectNothingLost } from './support/expect-table.ts'
import { type Stage, stage } from './support/stage.ts'

let at: Stage
beforeAll(async () => {
  at = await stage()
})
afterAll(() => at?.remove())

describe('a server that dies at random moments while 50 devices update', () => {
  it.each(['none', 'proven'] as const)(
    'leaves no update stuck, falsely confirmed or unheard: evidence %s',
    async (attestation) => {
      const { factory, folder } = at
      expectNothingLost(await crashAtRandom({ factory, folder, attestation, devices: 50, kills: 10, seed: crashSeed() }))
    },
    120_000,
  )
})
