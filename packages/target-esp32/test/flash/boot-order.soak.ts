import { describe, it } from 'vitest'
import { expectSafeUpdates, expectSameRunning } from '../support/flash-scenes.ts'

const times = Number(process.env.REFLASH_SOAK ?? '1')

describe('any state of the flash, at length', () => {
  it(`the driver takes for running what the boot model starts: ${10_000 * times} states`, async () => {
    await expectSameRunning(80, 10_000 * times)
  })

  it(`an update changes what runs at its installation and not before, and leaves the way back: ${5_000 * times} states`, async () => {
    await expectSafeUpdates(120, 5_000 * times)
  })
})
