import type { FlashPort, RunContext } from '@reflash/core'
import type { ChipName } from '../../src/index.ts'
import { demoImage, flashPort, type NorFlash, type VirtualEsp32, type VirtualEsp32Options, virtualEsp32 } from '../../src/testing/index.ts'

/** Small images, so that tests are quick. */
export function appImage(version: string, chip: ChipName = 'esp32s3', sizeBytes = 12 * 1024): Uint8Array {
  return demoImage({ chip, version, sizeBytes })
}

/** A device that runs and has kept `version`. */
export function running(version: string, options: Partial<VirtualEsp32Options> = {}): VirtualEsp32 {
  const device = virtualEsp32({ chip: 'esp32s3', ...options })
  device.provision(appImage(version, options.chip))
  device.boot()
  return device
}

/** A port that writes down what is done through it. */
export function recordedPort(device: VirtualEsp32, flash?: NorFlash): { readonly port: FlashPort; readonly done: string[] } {
  const done: string[] = []
  const port = flashPort(device, flash)
  const note = (what: string, offset: number, length: number) => done.push(`${what} ${offset.toString(16)}+${length.toString(16)}`)
  return {
    done,
    port: {
      ...port,
      deviceId: port.deviceId,
      erase: async (offset: number, length: number, context: RunContext) => {
        note('erase', offset, length)
        await port.erase(offset, length, context)
      },
      write: async (offset: number, bytes: Uint8Array, context: RunContext) => {
        note('write', offset, bytes.length)
        await port.write(offset, bytes, context)
      },
      reset: async (context: RunContext) => {
        done.push('reset')
        await port.reset(context)
      },
    },
  }
}
