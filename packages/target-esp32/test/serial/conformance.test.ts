import { transportSuite } from '@reflash/core/conformance'
import { describe, it } from 'vitest'
import { serialTransport } from '../../src/index.ts'
import { quickTimes, suiteDevice, type WiredRom, wiredRom } from '../support/wired-rom.ts'

describe('serialTransport', () => {
  transportSuite(
    { describe, it },
    {
      async make() {
        const boards = new Map<string, WiredRom>()
        const plugin = serialTransport({
          port: ({ id }) => (boards.has(id) ? id : undefined),
          times: quickTimes ?? {},
          open: (path, options) => (boards.get(path) as WiredRom).open(path, options),
        })
        return {
          plugin,
          async flash() {
            const id = `board-${boards.size + 1}`
            const wired = wiredRom({ flashBytes: 0x4_0000 })
            wired.rom.device.flash.write(
              0x3000,
              Uint8Array.from({ length: 700 }, (_, index) => index),
            )
            boards.set(id, wired)
            return suiteDevice(id, wired)
          },
          dispose: async () => {},
        }
      },
      factory: serialTransport,
      options: { port: 'socket://127.0.0.1:1' },
      timeoutMs: 20_000,
    },
  )
})
