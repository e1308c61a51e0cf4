import type { AgentPort } from '@reflash/core'
import type { Bench, Boots, TargetInstance } from '@reflash/core/conformance'
import { memoryDevice, memoryTarget } from '@reflash/core/testing'

const text = (content: string): Uint8Array => new TextEncoder().encode(content)
const old = text(`board board\n1.0.0\n${'old '.repeat(20)}`)
const good = text(`board board\n1.1.0\n${'good '.repeat(20)}`)

/** A memory device on the bench: it goes back where its power is cut before it has kept what it runs. */
function bench(): Bench<AgentPort> {
  const device = memoryDevice({ id: 'board-1', runs: old })
  const port = device.port()
  const runs = async (): Promise<Boots> => {
    if (device.running === undefined) return 'none'
    const found = Buffer.from(device.running)
    if (found.equals(old)) return 'old'
    return found.equals(good) ? 'good' : 'other'
  }
  return {
    port,
    runs,
    async boot() {
      await port.rollback()
      return runs()
    },
    async keep() {
      const context = { signal: new AbortController().signal, now: new Date(0) }
      await port.status(context)
      await port.status(context)
    },
  }
}

/** The memory target with everything that its suite wants to know. */
export async function memoryTargetInstance(): Promise<TargetInstance> {
  return {
    plugin: memoryTarget('board'),
    device: { id: 'board-1', model: 'board' },
    foreign: { id: 'other-1', model: 'other' },
    images: { old, good, bad: [{ name: 'no board', bytes: text('bread') }] },
    refuses: [
      { name: 'an image for another board', image: text('board bored\n1.1.0') },
      { name: 'another board, and too large', image: text(`board bored\n1.1.0\n${'x'.repeat(1 << 20)}`), reasons: 2 },
    ],
    agent: async () => bench(),
    dispose: async () => {},
  }
}
