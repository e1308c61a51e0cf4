import { coreError, type HeldImage, isOtaError, type Json, streamOf, type Target } from '@reflash/core'
import { targetRules } from '@reflash/core/conformance'
import { rightAgentTarget } from '../support/right-plugins.ts'
import { agentMutants } from './agent-driver-mutants.ts'
import { flashMutants } from './flash-driver-mutants.ts'
import { type Mutant, type MutantTable, mutantsOf } from './mutant.ts'

const { plugin: changed, common } = mutantsOf(targetRules, rightAgentTarget)
type Full = Target & Required<Pick<Target, 'measure'>>
const plugin = (rule: string, wrong: string, change: (right: Full) => Partial<Target>): Mutant =>
  changed(rule, wrong, (right) => change(right as Full))

/** The target that inspects another image. */
const inspecting =
  (change: (image: HeldImage) => Partial<HeldImage>) =>
  ({ inspect }: Target): Partial<Target> => ({ inspect: (image, context) => inspect({ ...image, ...change(image) }, context) })

const images: readonly Mutant[] = [
  plugin('supports', 'says that its devices have three slots', ({ supports }) => ({
    supports: Object.freeze({ ...supports, slots: 3 as 2 }),
  })),
  plugin('matches', 'knows every device for its own', () => ({ matches: () => true })),
  plugin('platforms', 'names a platform for a device that does not say its model', () => ({
    platforms: ({ model = 'board' }) => [{ os: 'custom', architecture: model }],
  })),
  plugin('inspect-good', 'does not say how large an image is', ({ inspect }) => ({
    inspect: async (image, context) => ({ ...(await inspect(image, context)), size: 0 }),
  })),
  plugin(
    'inspect-chunks',
    'looks at the first chunk alone',
    inspecting(({ open }) => ({
      async *open(range) {
        for await (const chunk of open(range)) {
          yield chunk
          return
        }
      },
    })),
  ),
  plugin(
    'inspect-slow',
    'takes an empty chunk for the end',
    inspecting(({ open }) => ({
      async *open(range) {
        for await (const chunk of open(range)) {
          if (chunk.length === 0) return
          yield chunk
        }
      },
    })),
  ),
  plugin('inspect-bad', 'takes nothing for an image', ({ inspect }) => ({
    inspect: async (image, context) => (image.descriptor.size === 0 ? { size: 0, facts: null } : inspect(image, context)),
  })),
  plugin('inspect-strange', 'lets errors of its parser out', ({ inspect }) => ({
    inspect: async (image, context) => {
      for await (const chunk of image.open()) {
        if (chunk[0] === 0xff) throw new RangeError('offset is out of bounds')
        break
      }
      return inspect(image, context)
    },
  })),
  plugin('inspect-broken', 'hides why an image cannot be read', ({ inspect }) => ({
    inspect: (image, context) =>
      inspect(image, context).catch((error: unknown) => {
        throw isOtaError(error) ? error : coreError('NOT_AN_IMAGE', 'expected an image, found none')
      }),
  })),
  plugin('inspect-abort', 'reads on when its caller leaves', ({ inspect }) => ({
    inspect: (image, context) => inspect(image, context.signal.aborted ? context : { ...context, signal: new AbortController().signal }),
  })),
  plugin('inspect-closes', 'leaves a stream open when it has read enough', ({ inspect }) => ({
    inspect: async (image, context) => {
      const head: number[] = []
      const chunks = image.open()[Symbol.asyncIterator]()
      while (head.length < 64 && !context.signal.aborted) {
        const step = await chunks.next()
        if (step.done === true) break
        head.push(...step.value.subarray(0, 64))
      }
      return inspect({ ...image, open: () => streamOf(Uint8Array.from(head)) }, context)
    },
  })),
  plugin('measure', 'measures every image alike', () => ({
    measure: async () => [{ environment: { layer: 1 }, digests: [{ hashAlg: 'sha256', digest: '0'.repeat(64) }] }],
  })),
]

const plans: readonly Mutant[] = [
  plugin('plan', 'notes on the device that it was planned for', ({ plan }) => ({
    plan: (device, info, descriptor) => {
      ;(device as { planned?: boolean }).planned = true
      return plan(device, info, descriptor)
    },
  })),
  plugin('plan-parsed', 'adds to a plan what it takes back', ({ parsePlan }) => ({
    parsePlan: (facts) => ({ ...(parsePlan(facts) as Readonly<Record<string, Json>>), parsed: true }),
  })),
  plugin('plan-other-image', 'makes the same plan for every image', ({ plan }) => {
    let first: Json | undefined
    return {
      plan: (device, info, descriptor) => {
        const made = plan(device, info, descriptor)
        first ??= made
        return first
      },
    }
  }),
  plugin('plan-refuses', 'tells the first of the reasons', ({ plan }) => ({
    plan: (device, info, descriptor) => {
      try {
        return plan(device, info, descriptor)
      } catch (error) {
        if (!isOtaError(error)) throw error
        throw coreError('PLAN_REFUSED', error.message, { because: error.because.slice(0, 1) })
      }
    },
  })),
  plugin('parse-no-plan', 'takes nothing for a plan with its defaults', ({ parsePlan }) => ({
    parsePlan: (facts) => (facts !== null && typeof facts === 'object' && Object.keys(facts).length === 0 ? facts : parsePlan(facts)),
  })),
  plugin('parse-spoiled', 'trips over a number that is a text', ({ parsePlan }) => ({
    parsePlan: (facts) => {
      const { slotBytes } = (facts ?? {}) as { readonly slotBytes?: unknown }
      if (typeof slotBytes === 'string') throw new TypeError('cannot convert a text to a number')
      return parsePlan(facts)
    },
  })),
]

const ends: readonly Mutant[] = [
  plugin('closed', 'takes everything for an image after it was closed', ({ inspect, close }) => {
    let isClosed = false
    return {
      inspect: async (image, context) => (isClosed ? { size: image.descriptor.size, facts: null } : inspect(image, context)),
      close: async () => {
        isClosed = true
        await close?.()
      },
    }
  }),
]

export const targetMutants: MutantTable = {
  suite: targetRules.kind,
  rules: targetRules.rules.map(({ id }) => id),
  mutants: [...common('inspect'), ...images, ...plans, ...ends, ...flashMutants, ...agentMutants],
  unbroken: {
    'target/agent/deliver-only':
      'an agent that activates in a delivery is seen by target/agent/deliver, because a device in memory starts at once what is activated',
  },
}
