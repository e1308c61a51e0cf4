import { throwIfAborted } from '../content/abort.ts'
import { type ByteStream, collect } from '../content/byte-stream.ts'
import { digestOf, isDigest } from '../content/digest.ts'
import type { Json } from '../content/json.ts'
import { fail } from '../core-errors.ts'
import type { HeldImage } from '../plugin/cache.ts'
import type { Target } from '../plugin/target.ts'
import { type MemoryPlan, memoryAgentDriver } from './memory-agent-driver.ts'

export type { MemoryPlan } from './memory-agent-driver.ts'

/** Bytes that one slot of the memory board holds. */
const slotBytes = 1 << 20

/**
 * Makes a target for a made-up board. Its images are text: `board <model>`, a line break, then anything. It drives `memoryDevice`s through
 * their agent. For tests of everything around a target.
 */
export function memoryTarget(model = 'board'): Target<MemoryPlan> {
  return Object.freeze<Target<MemoryPlan>>({
    kind: 'target',
    name: `memory-${model}`,
    spec: 0,
    supports: Object.freeze({ slots: 2, rollback: true, resume: true }),
    matches: (device) => device.model === undefined || device.model.startsWith(model),
    platforms: (device) => (device.model === undefined ? [] : [{ os: 'custom', architecture: device.model }]),
    parsePlan: (facts: Json) => {
      const plan = facts as Partial<MemoryPlan> | null
      if (plan?.slotBytes !== slotBytes || !isDigest(plan.digest)) throw fail('FACTS_CORRUPT', 'expected a plan of the memory target')
      return { slotBytes, digest: plan.digest }
    },
    inspect: async (image, { signal }) => {
      const text = new TextDecoder().decode(await bytesOf(image, signal))
      const found = /^board ([a-z0-9]+)\n/.exec(text)?.[1]
      if (found === undefined) throw fail('NOT_AN_IMAGE', 'expected an image that begins with "board <model>"')
      return { size: image.descriptor.size, model: found, facts: null }
    },
    plan: (device, info, descriptor) => {
      const because = []
      if (device.model !== undefined && info.model !== device.model) {
        because.push({ code: 'WRONG_MODEL', message: `the image is for ${info.model}, the device is ${device.model}` })
      }
      if (info.size > slotBytes)
        because.push({ code: 'TOO_LARGE_FOR_SLOT', message: `the image has ${info.size} bytes, a slot ${slotBytes}` })
      if (because.length > 0) throw fail('PLAN_REFUSED', because.map(({ message }) => message).join('; '), { because })
      return { slotBytes, digest: descriptor.digest }
    },
    measure: async (image, { signal }) => {
      const digest = digestOf(await bytesOf(image, signal)).slice(7)
      return [{ environment: { model, layer: 1 }, digests: [{ hashAlg: 'sha256', digest }] }]
    },
    drive: Object.freeze({ agent: memoryAgentDriver }),
  })
}

function bytesOf(image: HeldImage, signal: AbortSignal): Promise<Uint8Array> {
  return collect(untilAborted(image.open(), signal), slotBytes * 4, 'image')
}

async function* untilAborted(stream: ByteStream, signal: AbortSignal): ByteStream {
  throwIfAborted(signal)
  for await (const chunk of stream) {
    throwIfAborted(signal)
    yield chunk
  }
}
