import { describe, expect, it } from 'vitest'
import { esp32Target, twoOtaTable } from '../../src/index.ts'
import { cutPower, flashPort, memoryFlash, type NorFlash, PowerCut, virtualEsp32 } from '../../src/testing/index.ts'
import { context, heldImage } from '../support/held-image.ts'
import { appImage, copyOf, running } from '../support/virtual-state.ts'

const target = esp32Target()
const driver = target.drive?.flash as NonNullable<NonNullable<(typeof target)['drive']>['flash']>
const image = heldImage(appImage('1.1.0', 'esp32s3', 140 * 1024))

/** Slots of 256 KiB, so that copies of the flash are quick. */
const small = () => ({ flash: memoryFlash(0x9_0000), partitions: twoOtaTable({ slotBytes: 0x4_0000 }) })

/** One whole update on this flash, as far as the power lasts. */
async function updateOn(flash: NorFlash): Promise<void> {
  const device = virtualEsp32({ chip: 'esp32s3', flash })
  const port = flashPort(device)
  const plan = target.plan(await driver.probe(port, context), await target.inspect(image, context), image.descriptor)
  await driver.deliver(plan, image, port, context)
  await driver.install(plan, port, context)
  device.markValid()
}

describe('an update whose power is cut', () => {
  it.each([0, 1, 16, 4096, 40_000])(
    'at any operation, of which %i bytes are still done, leaves a device that starts, and succeeds when tried again',
    async (keepBytes) => {
      const start = running('1.0.0', small()).flash
      const whole = cutPower(copyOf(start), { atOperation: -1 })
      await updateOn(whole)
      // Erase and write of three blocks and of one otadata entry; then pending and valid, each erased and written.
      expect(whole.operations).toBe(3 * 2 + 2 + 4)
      for (let atOperation = 0; atOperation < whole.operations; atOperation++) {
        const flash = copyOf(start)
        await expect(updateOn(cutPower(flash, { atOperation, keepBytes }))).rejects.toThrow(PowerCut)
        const device = virtualEsp32({ chip: 'esp32s3', flash })
        const { booted } = device
        expect(booted, `cut at ${atOperation}`).toMatchObject({ is: 'running', version: expect.stringMatching(/^1\.[01]\.0$/) })
        if (atOperation < 6) expect(booted).toMatchObject({ version: '1.0.0' })
        // A device that came up with the new image keeps it; one that did not is updated.
        if (booted.is === 'running' && booted.version === '1.1.0') device.markValid()
        else await updateOn(flash)
        expect(virtualEsp32({ chip: 'esp32s3', flash }).booted, `cut at ${atOperation}, tried again`).toMatchObject({
          version: '1.1.0',
          pendingVerify: false,
        })
      }
    },
  )

  it('during the first installation leaves the recovery over the port, and succeeds when tried again', async () => {
    const start = virtualEsp32({ chip: 'esp32s3', ...small() }).flash
    const whole = cutPower(copyOf(start), { atOperation: -1 })
    await updateOn(whole)
    for (let atOperation = 0; atOperation < whole.operations; atOperation++) {
      const flash = copyOf(start)
      await expect(updateOn(cutPower(flash, { atOperation, keepBytes: 20 }))).rejects.toThrow(PowerCut)
      const device = virtualEsp32({ chip: 'esp32s3', flash })
      if (device.booted.is === 'running' && device.booted.pendingVerify) device.markValid()
      else await updateOn(flash)
      expect(virtualEsp32({ chip: 'esp32s3', flash }).booted).toMatchObject({ version: '1.1.0' })
    }
  })
})
