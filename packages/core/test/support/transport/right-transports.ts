import type { TransportSuiteOptions } from '@reflash/core/conformance'
import { memoryTransport } from '@reflash/core/testing'
import { harbour } from './channels.ts'
import { framedTransport } from './framed-transport.ts'
import { memoryTransportInstance } from './memory-agent.ts'
import { packetBench } from './packet-client.ts'
import { packetTransport } from './packet-transport.ts'
import { type Network, wiredAgent, wiredFlash } from './wired-devices.ts'

const nothing = async (): Promise<void> => {}
const numbered = (): (() => string) => {
  let number = 0
  return () => `board-${++number}`
}

/** A transport with a port `agent`, over a line that can have every fault. */
export const rightAgentTransport: TransportSuiteOptions = {
  make: async () => {
    const network: Network = new Map()
    const next = numbered()
    return { plugin: framedTransport({ network, uses: 'agent' }), agent: async () => wiredAgent(network, next()), dispose: nothing }
  },
  factory: framedTransport,
  options: { network: new Map(), uses: 'agent' },
}

/** A transport with a port `flash`, over a line that can have every fault. */
export const rightFlashTransport: TransportSuiteOptions = {
  make: async () => {
    const network: Network = new Map()
    const next = numbered()
    return { plugin: framedTransport({ network, uses: 'flash' }), flash: async () => wiredFlash(network, next()), dispose: nothing }
  },
  factory: framedTransport,
  options: { network: new Map(), uses: 'flash' },
}

/** A transport that serves; `reports` false: to devices that never report. */
export function rightServeTransport(reports = true): TransportSuiteOptions {
  return {
    make: async () => {
      const port = harbour()
      return { plugin: packetTransport({ harbour: port, service: { reports } }), pull: packetBench(port, reports), dispose: nothing }
    },
    factory: packetTransport,
    options: { harbour: harbour() },
  }
}
export const rightMemory: TransportSuiteOptions = { make: memoryTransportInstance, factory: memoryTransport, options: [] }
