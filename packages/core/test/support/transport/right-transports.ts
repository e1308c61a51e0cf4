import type { TransportSuiteOptions } from '@reflash/core/conformance'
import { memoryTransport } from '@reflash/core/testing'
import { harbour } from './channels.ts'
import type { LineHabits } from './framed-line.ts'
import { framedTransport } from './framed-transport.ts'
import { memoryTransportInstance } from './memory-agent.ts'
import { packetBench } from './packet-client.ts'
import type { ServiceHabits } from './packet-service.ts'
import { packetTransport } from './packet-transport.ts'
import { type Network, wiredAgent, wiredFlash } from './wired-devices.ts'

const nothing = async (): Promise<void> => {}
const numbered = (): (() => string) => {
  let number = 0
  return () => `board-${++number}`
}

/** A transport with a port `agent`, over a line that can have every fault. */
export function agentTransport(line: Partial<LineHabits> = {}): TransportSuiteOptions {
  return {
    make: async () => {
      const network: Network = new Map()
      const next = numbered()
      return { plugin: framedTransport({ network, uses: 'agent', line }), agent: async () => wiredAgent(network, next()), dispose: nothing }
    },
    factory: framedTransport,
    options: { network: new Map(), uses: 'agent' },
  }
}

/** A transport with a port `flash`, over a line that can have every fault. */
export function flashTransport(line: Partial<LineHabits> = {}): TransportSuiteOptions {
  return {
    make: async () => {
      const network: Network = new Map()
      const next = numbered()
      return { plugin: framedTransport({ network, uses: 'flash', line }), flash: async () => wiredFlash(network, next()), dispose: nothing }
    },
    factory: framedTransport,
    options: { network: new Map(), uses: 'flash' },
  }
}

/** A transport that serves; `reports` false: to devices that never report. */
export function servingTransport(service: Partial<ServiceHabits> = {}): TransportSuiteOptions {
  return {
    make: async () => {
      const port = harbour()
      return { plugin: packetTransport({ harbour: port, service }), pull: packetBench(port, service.reports), dispose: nothing }
    },
    factory: packetTransport,
    options: { harbour: harbour() },
  }
}

/** The transport of devices in memory. */
export const rightMemory: TransportSuiteOptions = { make: memoryTransportInstance, factory: memoryTransport, options: [] }
