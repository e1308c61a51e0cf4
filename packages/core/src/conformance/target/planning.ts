import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Json } from '../../content/json.ts'
import type { Target } from '../../plugin/target.ts'
import { descriptorOf } from '../content.ts'
import { refused, survives } from '../refusal.ts'
import type { TargetInstance, TargetRule } from '../target-suite.ts'
import { within } from '../within.ts'
import { inspected, refusal, rule, stored } from './target-rule.ts'

async function goodPlan({ plugin, device, images }: TargetInstance): Promise<Json> {
  return plugin.plan(device, await inspected(plugin, images.good), descriptorOf(images.good))
}

const noPlans: readonly Json[] = [null, 0, '', 'plan', true, [], {}, [{}], { plan: 1 }]
const otherValues: readonly Json[] = [null, -1, 0.5, 1e300, '', 'x'.repeat(10_000), [], {}, true]

/** Every plan that differs from a good one in one place. */
function* spoiledPlans(plan: Json): Generator<Json> {
  if (typeof plan !== 'object' || plan === null || Array.isArray(plan)) return
  const fields = plan as Readonly<Record<string, Json>>
  for (const name of Object.keys(fields)) {
    const { [name]: value, ...rest } = fields
    yield rest
    for (const other of otherValues) yield { ...fields, [name]: other }
    if (value !== undefined) for (const inner of spoiledPlans(value)) yield { ...fields, [name]: inner }
  }
  yield JSON.parse('{"__proto__":{"polluted":1}}') as Json
}

/** Plans, good and wrong. */
export const planRules: readonly TargetRule[] = [
  rule('plan', 'plans the good image for its device, purely', async (instance) => {
    const { plugin, device, images } = instance
    const info = await inspected(plugin, images.good)
    const descriptor = descriptorOf(images.good)
    const before = structuredClone({ device, info, descriptor })
    const plan = plugin.plan(device, info, descriptor)
    ok(!(plan instanceof Promise), 'expected a plan, found a promise: nothing is asked of anybody here')
    deepStrictEqual(stored(plan), plan, 'expected a plan that JSON can carry unchanged')
    deepStrictEqual(
      plugin.plan(deepFrozen(before.device), deepFrozen(before.info), Object.freeze(before.descriptor)),
      plan,
      'the same again',
    )
    deepStrictEqual({ device, info, descriptor }, before, 'expected what it was given as it was')
  }),
  rule('plan-parsed', 'takes a stored plan back as it was', async (instance) => {
    const plan = await goodPlan(instance)
    const parsed = instance.plugin.parsePlan(stored(plan))
    deepStrictEqual(parsed, plan)
    deepStrictEqual(instance.plugin.parsePlan(stored(parsed)), plan, 'a second time')
  }),
  rule('plan-other-image', 'makes another plan for another image', async (instance) => {
    const { plugin, device, images } = instance
    const other = plugin.plan(device, await inspected(plugin, images.old), descriptorOf(images.old))
    const shown = JSON.stringify(other)
    notStrictEqual(shown, JSON.stringify(await goodPlan(instance)), 'expected a plan that is bound to its image')
  }),
  rule(
    'plan-refuses',
    'refuses an image for a device that it is not for, with every reason at once',
    async ({ plugin, device, images, refuses }) => {
      ok(refuses.length > 0, 'refuses: expected at least one device and image that must not come together')
      for (const { name, device: other = device, image = images.good, reasons = 1 } of refuses) {
        const info = await inspected(plugin, image)
        const { because } = await refused(name, refusal, () => plugin.plan(other, info, descriptorOf(image)))
        const codes = new Set(because.map(({ code }) => code))
        ok(codes.size >= reasons, `${name}: expected at least ${reasons} reasons, found ${[...codes].join(', ')}`)
        ok(
          because.every(({ message }) => message.length > 0),
          `${name}: expected a sentence for each reason`,
        )
      }
    },
  ),
  rule('parse-no-plan', 'refuses what is no plan', async ({ plugin }) => {
    for (const value of noPlans) {
      await refused(`parsePlan(${JSON.stringify(value)})`, { fault: 'invalid' }, () => plugin.parsePlan(value))
    }
  }),
  rule('parse-spoiled', 'refuses a stored plan that was tampered with, or takes it for what it says', async (instance) => {
    const { plugin } = instance
    const { plugin: other } = instance
    for (const spoiled of spoiledPlans(stored(await goodPlan(instance)))) {
      const what = `parsePlan(${JSON.stringify(spoiled).slice(0, 120)})`
      const parsed = await survives(what, { fault: 'invalid' }, () => plugin.parsePlan(spoiled))
      if (parsed !== undefined) deepStrictEqual(reparsed(other, parsed), parsed, `${what}: expected to take it as it is, or to refuse it`)
    }
    ok(({} as { polluted?: unknown }).polluted === undefined, 'expected no prototype to be touched')
  }),
]

/** After the end. */
export const targetCloseRules: readonly TargetRule[] = [
  rule(
    'closed',
    'takes nothing for an image after it was closed that it would have refused before, and does not hang',
    async ({ plugin, images }, { stepMs }) => {
      await within(stepMs, 'close()', plugin.close?.())
      const faults = { fault: [...refusal.fault, 'unavailable', 'aborted'] } as const
      const call = (bytes: Uint8Array) =>
        within(
          stepMs,
          'inspect after close()',
          survives('inspect after close()', faults, () => inspected(plugin, bytes)),
        )
      await call(images.good)
      for (const { name, bytes } of images.bad) strictEqual(await call(bytes), undefined, `${name} after close()`)
    },
    { what: 'close()', has: ({ plugin }) => plugin.close !== undefined },
  ),
]

function reparsed({ parsePlan }: Target, plan: Json): Json {
  return parsePlan(stored(plan))
}

function deepFrozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) deepFrozen(member)
    Object.freeze(value)
  }
  return value
}
