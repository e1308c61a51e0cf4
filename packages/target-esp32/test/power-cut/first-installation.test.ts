import { everyCut } from '@reflash/core/testing'
import { expect, it } from 'vitest'
import { esp32Target, twoOtaTable } from '../../src/index.ts'
import { flashPort, memoryFlash, type NorFlash, virtualEsp32 } from '../../src/testing/index.ts'
import { context, heldImage } from '../support/held-image.ts'
import { appImage } from '../support/virtual-state.ts'

const target = esp32Target()
const driver = target.drive?.flash as NonNullable<NonNullable<(typeof target)['drive']>['flash']>
const image = heldImage(appImage('1.1.0', 'esp32s3', 68 * 1024))

async function installOn(flash: NorFlash): Promise<void> {
  const device = virtualEsp32({ chip: 'esp32s3', flash })
  if (device.booted.is === 'running' && device.booted.pendingVerify) return device.markValid()
  const port = flashPort(device)
  const plan = target.plan(await driver.probe(port, context), await target.inspect(image, context), image.descriptor)
  await driver.deliver(plan, image, port, context)
  await driver.install(plan, port, context)
  device.markValid()
}

it('a first installation may be cut anywhere: a device that starts nothing is still behind its cable, and is tried again', async () => {
  const table = await everyCut({
    start() {
      const flash = memoryFlash(0x5_0000)
      virtualEsp32({ chip: 'esp32s3', flash, partitions: twoOtaTable({ slotBytes: 0x2_0000 }) })
      return flash
    },
    run: (flash, power) => installOn(power.flash(flash)),
    check: () => true,
    async again(flash) {
      await installOn(flash)
      expect(virtualEsp32({ chip: 'esp32s3', flash }).booted).toMatchObject({ version: '1.1.0', pendingVerify: false })
    },
    modes: ['before', 'after', 'half-programmed', 'partly-erased', 'between-blocks'],
  })
  expect(table.failures).toEqual([])
  expect(table.cuts).toBeGreaterThan(50)
})
