import { coreError } from '@reflash/core'
import type { AgentDevice, TransportInstance } from '@reflash/core/conformance'
import { type MemoryDevice, memoryDevice, memoryTransport } from '@reflash/core/testing'

const text = (content: string): Uint8Array => new TextEncoder().encode(content)
const imageOf = (version: string): Uint8Array => text(`board board\n${version}\n${`image ${version} `.repeat(16)}`)

/** The memory transport with everything that its suite wants to know. Its line is a call: it can be cut, and nothing else. */
export async function memoryTransportInstance(): Promise<TransportInstance> {
  const devices: MemoryDevice[] = []
  return {
    plugin: memoryTransport(devices),
    agent: async () => onTheBench(devices, `board-${devices.length + 1}`),
    dispose: async () => {},
  }
}

function onTheBench(devices: MemoryDevice[], id: string): AgentDevice {
  const unit = memoryDevice({
    id,
    runs: imageOf('1.0.0'),
    evidence: (challenge) => ({ mediaType: 'application/x-shown', body: Uint8Array.from(challenge).reverse() }),
  })
  let isCut = false
  const over = async <T>(word: () => Promise<T>): Promise<T> => {
    if (isCut) throw coreError('DEVICE_SILENT', `device ${id}: expected an answer, found the line cut`)
    return word()
  }
  const port: MemoryDevice['port'] = () => {
    const whole = unit.port()
    return {
      ...whole,
      begin: (image, context) => over(() => whole.begin(image, context)),
      write: (offset, bytes, context) => over(() => whole.write(offset, bytes, context)),
      activate: (context) => over(() => whole.activate(context)),
      status: (context) => over(() => whole.status(context)),
    }
  }
  devices.push({ ...unit, port })
  return {
    device: { id },
    wire: {
      faults: [],
      async cut() {
        isCut = true
      },
      spoil: async () => {},
      async mend() {
        isCut = false
      },
    },
    images: [imageOf('1.1.0'), imageOf('1.2.0')],
    staged: async () => unit.staged,
    async runs() {
      // Its self-test passes at the second look.
      const looking = unit.port()
      const context = { signal: new AbortController().signal, now: new Date(0) }
      for (let look = 0; look < 2; look++) await looking.status(context)
      return unit.running
    },
    state: async () => unit.state(),
    evidence: async (challenge) => ({ mediaType: 'application/x-shown', body: Uint8Array.from(challenge).reverse() }),
  }
}
