import { describe, it } from 'vitest'
import { pausesBreakingImage } from './breaking-image.ts'

describe('a fleet of virtual devices over real sockets, of which 30 % break on the new image', () => {
  it('is paused in its first wave, with nobody beyond it touched', { timeout: 120_000 }, async () => {
    const count = Number(process.env.REFLASH_FLEET ?? 200)
    await pausesBreakingImage(count, count > 500 ? 4_000 : 400, 100_000)
  })
})
