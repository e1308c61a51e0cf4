import { throwIfAborted } from '../content/abort.ts'
import type { Digest } from '../content/digest.ts'
import type { RunContext } from '../plugin/plugin.ts'
import type { AgentPort } from '../plugin/ports.ts'
import type { Driver } from '../plugin/target.ts'
import type { MemoryAgentPort } from './memory-device.ts'

/** The plan of the memory target: which image goes into a slot of which size. */
export type MemoryPlan = { readonly slotBytes: number; readonly digest: Digest }

/**
 * Drives the agent of a memory device. Its commit point is `activate`: an abort is heeded between chunks and not after it. As every driver
 * it may be called again for what it has done, because the word that it was done can be lost.
 */
export const memoryAgentDriver: Driver<AgentPort, MemoryPlan> = Object.freeze<Driver<AgentPort, MemoryPlan>>({
  async probe(port, context) {
    throwIfAborted(context.signal)
    return await port.status(context)
  },
  async deliver({ digest }, image, port, context) {
    if (await runs(digest, port, context)) return { by: 'report', report: { state: 'downloaded' } }
    const { size } = image.descriptor
    let { offset } = await port.begin({ digest, size }, context)
    for await (const bytes of image.open({ offset })) {
      for (let at = 0; at < bytes.length; at += port.maxChunkBytes) {
        throwIfAborted(context.signal)
        const chunk = bytes.subarray(at, at + port.maxChunkBytes)
        await port.write(offset, chunk, context)
        offset += chunk.length
        context.progress?.(offset, size)
      }
    }
    return { by: 'report', report: { state: 'downloaded' } }
  },
  async install({ digest }, port, context) {
    if (!(await runs(digest, port, context))) await port.activate(context)
    return { by: 'report', report: { state: 'installed' } }
  },
  async confirm(_, port, context) {
    throwIfAborted(context.signal)
    const { installed } = await port.status(context)
    // The old firmware may still answer: how long that is waiting, and from when on the device has gone back, is not for a driver to say.
    if (installed?.digest !== undefined) return { by: 'check-in', installed }
    return { by: 'report', report: { state: 'installed', messages: [`the device runs ${installed?.version ?? 'nothing'}`] } }
  },
  async rollback(_, port) {
    if (isMemoryPort(port)) await port.rollback()
  },
})

async function runs(digest: Digest, port: AgentPort, context: RunContext): Promise<boolean> {
  throwIfAborted(context.signal)
  return (await port.status(context)).installed?.digest === digest
}

function isMemoryPort(port: AgentPort): port is MemoryAgentPort {
  return 'rollback' in port
}
