import { type AgentPort, type Driver, type Observation, type RunContext, throwIfAborted } from '@reflash/core'
import type { Esp32Plan } from './esp32-plan.ts'
import { expectPlannedImage } from './flash/flash-driver.ts'

/**
 * Drives updates through the update code on the device (esp_ota_begin, esp_ota_write, esp_ota_end, esp_ota_set_boot_partition): it sends what the
 * agent asks for and activates it. The agent knows slots and otadata, checks the image, and restarts the device after `activate`, which is
 * the commit point: an abort is heeded before it, and not while the device switches.
 */
export const agentDriver: Driver<AgentPort, Esp32Plan> = Object.freeze<Driver<AgentPort, Esp32Plan>>({
  async probe(port, context) {
    throwIfAborted(context.signal)
    return await port.status(context)
  },
  async deliver(plan, image, port, context) {
    expectPlannedImage(plan, image)
    if (await runs(plan, port, context)) return said('downloaded')
    const { digest, size } = image.descriptor
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
    return said('downloaded')
  },
  async install(plan, port, context) {
    // Done before, and the word of it lost: a second restart would take an image that is testing itself for one that failed.
    if (!(await runs(plan, port, context))) await port.activate(context)
    return said('installed')
  },
  async confirm(_, port, context) {
    throwIfAborted(context.signal)
    const { installed } = await port.status(context)
    // The old firmware may still answer: how long that is waiting, and from when on the device has gone back, is not for a driver to say.
    if (installed?.digest !== undefined) return { by: 'check-in', installed }
    return { by: 'report', report: { state: 'installed', messages: [`the device runs ${installed?.version ?? 'nothing'}`] } }
  },
})

const said = (state: 'downloaded' | 'installed'): Observation => ({ by: 'report', report: { state } })

async function runs({ digest }: Esp32Plan, port: AgentPort, context: RunContext): Promise<boolean> {
  throwIfAborted(context.signal)
  return (await port.status(context)).installed?.digest === digest
}
