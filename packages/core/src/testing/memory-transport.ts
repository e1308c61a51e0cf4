import { throwIfAborted } from '../content/abort.ts'
import { fail } from '../core-errors.ts'
import type { RunContext } from '../plugin/plugin.ts'
import type { Connection } from '../plugin/ports.ts'
import type { Transport } from '../plugin/transport.ts'
import type { MemoryDevice } from './memory-device.ts'

/** Makes a transport that connects to devices in memory by their `agent` port. */
export function memoryTransport(devices: readonly MemoryDevice[]): Transport<'agent'> {
  return Object.freeze<Transport<'agent'>>({
    kind: 'transport',
    name: 'memory',
    spec: 0,
    uses: 'agent',
    async connect({ id }, options) {
      throwIfAborted(options?.signal)
      const device = devices.find((candidate) => candidate.id === id)
      if (device === undefined)
        throw fail('DEVICE_SILENT', `expected device ${id}, found ${devices.map((known) => known.id).join(', ') || 'none'}`)
      const port = device.port()
      const { evidence } = device.options
      return Object.freeze<Connection<'agent'>>({
        port,
        principal: { deviceId: id, by: 'gateway' },
        ...(evidence === undefined
          ? {}
          : {
              async evidence(challenge: Uint8Array, { signal }: RunContext) {
                throwIfAborted(signal)
                return evidence(challenge, device.running ?? new Uint8Array())
              },
            }),
        [Symbol.asyncDispose]: () => port[Symbol.asyncDispose](),
      })
    },
  })
}
