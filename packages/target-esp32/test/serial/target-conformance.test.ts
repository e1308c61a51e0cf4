import type { FlashPort } from '@reflash/core'
import { type Bench, type Boots, damaged, targetSuite } from '@reflash/core/conformance'
import { afterAll, describe, it } from 'vitest'
import { esp32Target, serialTransport, twoOtaTable } from '../../src/index.ts'
import { demoImage, memoryFlash, virtualEsp32, virtualRom } from '../../src/testing/index.ts'
import { lineTo, quickTimes } from '../support/wired-rom.ts'

const imageOf = (version: string, chip: 'esp32s3' | 'esp32c3' = 'esp32s3') => demoImage({ chip, version, sizeBytes: 72 * 1024 })
const [old, good] = [imageOf('1.0.0'), imageOf('1.1.0')]
const open: AsyncDisposable[] = []
afterAll(async () => {
  for (const one of open) await one[Symbol.asyncDispose]()
})

// Its agent driver has nothing to do with a cable.
const right = esp32Target()
const overFlash = Object.freeze({ ...right, drive: Object.freeze({ flash: right.drive?.flash }) }) as typeof right

/** A virtual chip whose flash is reached through its ROM loader, and through nothing else. */
async function romBench(): Promise<Bench<FlashPort>> {
  const partitions = twoOtaTable({ slotBytes: 0x2_0000, flashBytes: 0x8_0000 })
  const device = virtualEsp32({ chip: 'esp32s3', partitions, flash: memoryFlash(0x8_0000) })
  device.provision(old)
  device.boot()
  const transport = serialTransport({ port: 'rom', baud: 115_200, times: quickTimes ?? {}, open: lineTo(virtualRom(device)) })
  const connection = await transport.connect({ id: 'virtual-esp32s3' })
  open.push(connection)
  const runs = (): Boots => {
    const { booted } = device
    if (booted.is !== 'running') return 'none'
    const isAt = (image: Uint8Array) => Buffer.compare(device.flash.read(booted.offset, image.length), image) === 0
    return isAt(old) ? 'old' : isAt(good) ? 'good' : 'other'
  }
  return {
    port: connection.port,
    async boot() {
      device.boot()
      return runs()
    },
    runs: async () => runs(),
    keep: async () => device.markValid(),
  }
}

describe('esp32Target, over a virtual ROM loader', () => {
  targetSuite(
    { describe, it },
    {
      make: async () => ({
        plugin: overFlash,
        device: { id: 'virtual-esp32s3', model: 'esp32s3' },
        foreign: { id: 'other', model: 'stm32f4' },
        images: { old, good, bad: damaged(good).map(({ name, bytes }) => ({ name: `an image ${name}`, bytes })) },
        refuses: [{ name: 'an image for another chip', image: imageOf('1.1.0', 'esp32c3') }],
        flash: romBench,
        dispose: async () => {},
      }),
      timeoutMs: 60_000,
    },
  )
})
