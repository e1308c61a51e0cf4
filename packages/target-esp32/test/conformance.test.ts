import type { AgentPort, FlashPort } from '@reflash/core'
import { type Bench, type Boots, damaged, targetSuite } from '@reflash/core/conformance'
import { esp32Target, twoOtaTable } from '@reflash/target-esp32'
import { agentPort, demoImage, flashPort, memoryFlash, type VirtualEsp32, virtualEsp32 } from '@reflash/target-esp32/testing'
import { describe, it } from 'vitest'

const imageOf = (version: string, options: Partial<Parameters<typeof demoImage>[0]> = {}) =>
  demoImage({ chip: 'esp32s3', version, sizeBytes: 72 * 1024, ...options })
const [old, good] = [imageOf('1.0.0'), imageOf('1.1.0')]

function bootedIn({ booted, flash }: VirtualEsp32): Boots {
  if (booted.is !== 'running') return 'none'
  const isAt = (image: Uint8Array) => Buffer.compare(flash.read(booted.offset, image.length), image) === 0
  if (isAt(old)) return 'old'
  return isAt(good) ? 'good' : 'other'
}

function boot(rollback: boolean): VirtualEsp32 {
  const partitions = twoOtaTable({ slotBytes: 0x2_0000 })
  const device = virtualEsp32({ chip: 'esp32s3', rollback, partitions, flash: memoryFlash(0x6_0000) })
  device.provision(old)
  device.boot()
  return device
}

function bench<Port>(device: VirtualEsp32, port: Port): Bench<Port> {
  return {
    port,
    async boot() {
      device.boot()
      return bootedIn(device)
    },
    runs: async () => bootedIn(device),
    keep: async () => device.markValid(),
  }
}

function flashBench(rollback: boolean): Bench<FlashPort> {
  const device = boot(rollback)
  return bench(device, flashPort(device))
}

/** The update code on a device, which restarts it once it has selected the new slot. */
function agentBench(rollback: boolean): Bench<AgentPort> {
  const device = boot(rollback)
  const port = agentPort(device)
  return bench(device, {
    ...port,
    async activate(context) {
      await port.activate(context)
      device.boot()
    },
  })
}

for (const rollback of [true, false]) {
  describe(`esp32Target, rollback ${rollback ? 'on' : 'off'}`, () => {
    targetSuite(
      { describe, it },
      {
        make: async () => ({
          plugin: esp32Target({ rollback }),
          device: { id: 'virtual-esp32s3', model: 'esp32s3' },
          foreign: { id: 'other', model: 'stm32f4' },
          images: {
            old,
            good,
            bad: damaged(good).map(({ name, bytes }) => ({ name: `an image ${name}`, bytes })),
          },
          refuses: [
            { name: 'an image for another chip', image: imageOf('1.1.0', { chip: 'esp32c3' }) },
            { name: 'a slot that is too small', device: { id: 'virtual-esp32s3', model: 'esp32s3', attributes: { slotBytes: 0x1000 } } },
            {
              name: 'another chip, an older revision and a slot that is too small',
              device: { id: 'x', model: 'esp32c3', attributes: { slotBytes: 0x1000, chipRevision: 1 } },
              image: imageOf('1.1.0', { minChipRevision: 2 }),
              reasons: 3,
            },
          ],
          flash: async () => flashBench(rollback),
          agent: async () => agentBench(rollback),
          dispose: async () => {},
        }),
        factory: esp32Target,
        options: { chips: ['esp32s3'], models: { 'sensor-2': 'esp32s3' } },
        timeoutMs: 30_000,
      },
    )
  })
}
