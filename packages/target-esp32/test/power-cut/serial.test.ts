import type { Driver, FlashPort } from '@reflash/core'
import { type CutMode, powerSupply } from '@reflash/core/testing'
import { describe, expect, it } from 'vitest'
import { type Esp32Plan, esp32Target, serialTransport, twoOtaTable } from '../../src/index.ts'
import { demoImage, memoryFlash, type NorFlash, type VirtualEsp32, virtualEsp32, virtualRom } from '../../src/testing/index.ts'
import { context, heldImage } from '../support/held-image.ts'
import { lineTo, quickTimes } from '../support/wired-rom.ts'

const imageOf = (version: string) => demoImage({ chip: 'esp32s3', version, sizeBytes: 4096 })
const target = esp32Target()
const driver = target.drive?.flash as Driver<FlashPort, Esp32Plan>
const image = heldImage(imageOf('1.1.0'))
const modes: readonly CutMode[] = ['before', 'after', 'half-programmed', 'partly-erased']

function board(): VirtualEsp32 {
  const made = virtualEsp32({
    chip: 'esp32s3',
    partitions: twoOtaTable({ slotBytes: 0x1_0000, flashBytes: 0x4_0000 }),
    flash: memoryFlash(0x4_0000),
  })
  made.provision(imageOf('1.0.0'))
  made.boot()
  return made
}

/** A whole update through the ROM loader, over a line that ends with the power. */
async function update(device: VirtualEsp32, flash: NorFlash): Promise<void> {
  const open = lineTo(virtualRom(device, { flash }))
  const transport = serialTransport({ port: 'rom', baud: 115_200, times: quickTimes ?? {}, open })
  try {
    const { port } = await transport.connect({ id: 'd1' })
    const info = await target.inspect(image, context)
    const plan = target.plan({ ...(await driver.probe(port, context)), model: port.chip }, info, image.descriptor)
    await driver.deliver(plan, image, port, context)
    await driver.install(plan, port, context)
  } finally {
    await transport.close()
  }
}

const versionOf = ({ booted }: VirtualEsp32): string => (booted.is === 'running' ? booted.version : booted.is)

describe('an update over a cable', () => {
  it('leaves a chip that boots wherever its power is cut, also inside what the ROM erases by itself, and succeeds the next time', {
    timeout: 60_000,
  }, async () => {
    const whole = board()
    const counted = powerSupply()
    await update(whole, counted.flash(whole.flash))
    expect(versionOf(whole)).toBe('1.1.0')
    expect(counted.operations.length).toBeGreaterThan(8)
    for (let operation = 0; operation < counted.operations.length; operation++) {
      for (const mode of modes) {
        const what = `${mode} at operation ${operation}: ${JSON.stringify(counted.operations[operation])}`
        const device = board()
        await expect(update(device, powerSupply({ operation, mode, seed: 1 }).flash(device.flash)), what).rejects.toMatchObject({
          code: 'SERIAL_UNAVAILABLE',
        })
        device.boot()
        expect(['1.0.0', '1.1.0'], what).toContain(versionOf(device))
        if (versionOf(device) === '1.1.0') continue
        await update(device, device.flash)
        expect(versionOf(device), what).toBe('1.1.0')
      }
    }
  })
})
