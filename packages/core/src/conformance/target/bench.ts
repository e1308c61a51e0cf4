import { ok, strictEqual } from 'node:assert/strict'
import type { Json } from '../../content/json.ts'
import type { HeldImage } from '../../plugin/cache.ts'
import type { RunContext } from '../../plugin/plugin.ts'
import type { Ports } from '../../plugin/ports.ts'
import type { Driver } from '../../plugin/target.ts'
import type { Observation } from '../../update/observation.ts'
import { contextOf, descriptorOf } from '../content.ts'
import { refused } from '../refusal.ts'
import { type Need, type Rule, rulesOf, type Scene } from '../suite.ts'
import type { Bench, Boots, TargetInstance } from '../target-suite.ts'
import { heldImage } from './held-image.ts'
import { type Interfere, type SpiedPort, spiedPort } from './spied-port.ts'
import { inspected, stored } from './target-rule.ts'

export type PortKind = keyof Ports & ('flash' | 'agent')

type AnyPort = Ports[PortKind]

/** A device on the bench, the plan for it, and what drives it. */
export interface Stand {
  readonly bench: Bench<AnyPort>
  readonly driver: Driver<AnyPort, Json>
  readonly plan: Json
  readonly image: HeldImage
  readonly context: RunContext
  /** The steps of one update, through a port that may be another than the bench's. */
  probe(at?: Through): ReturnType<Driver<AnyPort, Json>['probe']>
  deliver(at?: Through & { readonly image?: HeldImage }): Promise<Observation>
  install(at?: Through): Promise<Observation>
  confirm(at?: Through): Promise<Observation>
  rollback(at?: Through): Promise<void>
  /** The bench's port, seen and interfered with. */
  spied(interfere?: Interfere): SpiedPort<AnyPort>
}

export interface Through {
  readonly port?: AnyPort
  readonly signal?: AbortSignal
  readonly progress?: (done: number, total: number) => void
}

type Run = (stand: Stand, instance: TargetInstance, tools: Tools) => Promise<void>

export interface Tools extends Scene<TargetInstance> {
  /** One more stand, with a device of its own. */
  stand(): Promise<Stand>
}

/** Makes the rules for one kind of port: each gets a device of its own that runs the old image, and a plan for the good one. */
export function driverRules(kind: PortKind): (name: string, title: string, run: Run, needs?: Need<TargetInstance>) => Rule<TargetInstance> {
  const rule = rulesOf<TargetInstance>(`target/${kind}`)
  const drives = ({ plugin }: TargetInstance): boolean => plugin.drive?.[kind] !== undefined
  return (name, title, run, needs) =>
    rule(
      name,
      `${kind}: ${title}`,
      async (instance, scene) => {
        const benches: Bench<AnyPort>[] = []
        const stand = async (): Promise<Stand> => {
          const made = await standOf(kind, instance)
          benches.push(made.bench)
          return made
        }
        try {
          await run(await stand(), instance, { ...scene, stand })
        } finally {
          for (const bench of benches) await bench.dispose?.()
        }
      },
      {
        what: needs === undefined ? `drive.${kind}` : `drive.${kind} and ${needs.what}`,
        missing: `the plugin does not drive a ${kind} port${needs === undefined ? '' : `, or lacks ${needs.what}`}`,
        has: (instance, options) => drives(instance) && (needs === undefined || needs.has(instance, options)),
      },
    )
}

async function standOf(kind: PortKind, instance: TargetInstance): Promise<Stand> {
  const { plugin, device, images } = instance
  const driver = plugin.drive?.[kind] as unknown as Driver<AnyPort, Json>
  const make = instance[kind] as (() => Promise<Bench<AnyPort>>) | undefined
  ok(make !== undefined, `the plugin drives a ${kind} port: expected make() to give ${kind}(), found none`)
  const bench = await make()
  const image = heldImage(images.good)
  const context = contextOf()
  // As the engine does: what the device is known as counts, and what the driver has seen of it.
  const state = {
    ...(await driver.probe(bench.port, context)),
    id: device.id,
    ...(device.model === undefined ? {} : { model: device.model }),
  }
  const plan = plugin.parsePlan(stored(plugin.plan(state, await inspected(plugin, images.good), descriptorOf(images.good))))
  const at = ({ signal = context.signal, progress }: Through): RunContext => ({
    ...context,
    signal,
    ...(progress === undefined ? {} : { progress }),
  })
  return {
    bench,
    driver,
    plan,
    image,
    context,
    probe: (through = {}) => driver.probe(through.port ?? bench.port, at(through)),
    deliver: (through = {}) => driver.deliver(plan, through.image ?? image, through.port ?? bench.port, at(through)),
    install: (through = {}) => driver.install(plan, through.port ?? bench.port, at(through)),
    confirm: (through = {}) => driver.confirm(plan, through.port ?? bench.port, at(through)),
    rollback: async (through = {}) => driver.rollback?.(plan, through.port ?? bench.port, at(through)),
    spied: (interfere) => spiedPort(bench.port, interfere),
  }
}

/** Holds what runs after a restart. */
export async function boots(what: string, { bench }: Stand, ...expected: readonly Boots[]): Promise<void> {
  const found = await bench.boot()
  ok(
    expected.includes(found),
    `${what}: expected that the device starts ${expected.map(shown).join(' or ')}, found that it starts ${shown(found)}`,
  )
}

/** Holds what runs now. */
export async function runs(what: string, { bench }: Stand, expected: Boots): Promise<void> {
  strictEqual(await bench.runs(), expected, `${what}: expected that the device runs ${shown(expected)}`)
}

function shown(image: Boots): string {
  return image === 'none' ? 'nothing' : `the ${image} image`
}

/** What the room `deliver` makes of an observation. */
export function isDelivered(observed: Observation, { descriptor, crc32 }: HeldImage): boolean {
  switch (observed.by) {
    case 'read-back':
      return (
        observed.size === descriptor.size &&
        observed.digest === descriptor.digest &&
        (observed.crc32 === undefined || observed.crc32 === crc32)
      )
    case 'report':
      return ['downloaded', 'installing', 'installed', 'confirmed'].includes(observed.report.state)
    case 'check-in':
      return observed.installed.digest === descriptor.digest
    default:
      return false
  }
}

/** What the room `install` makes of it. */
export function isInstalled(observed: Observation, image: HeldImage): boolean {
  if (observed.by === 'report') return ['installed', 'confirmed'].includes(observed.report.state)
  return isDelivered(observed, image)
}

/** What the room `confirm` makes of it: bytes in flash do not say what runs. */
export function isConfirmed(observed: Observation, { descriptor }: HeldImage): boolean {
  if (observed.by === 'report') return observed.report.state === 'confirmed'
  return observed.by === 'check-in' && observed.installed.digest === descriptor.digest && observed.installed.state !== 'pending'
}

/** Does what may be refused, or may end with an observation that no room takes; false where it says that it went well. */
export async function declines(
  what: string,
  act: () => Promise<Observation>,
  isGood: (observed: Observation) => boolean,
): Promise<boolean> {
  let isTaken = false
  try {
    isTaken = isGood(await act())
  } catch (error) {
    await refused(what, { fault: ['rejected', 'invalid', 'unavailable', 'unsupported'] }, () => Promise.reject(error))
  }
  return !isTaken
}

/** A whole update, from whatever state the device is in. */
export async function updateWhole(what: string, stand: Stand): Promise<void> {
  ok(isDelivered(await stand.deliver(), stand.image), `${what}: expected that the image is delivered`)
  ok(isInstalled(await stand.install(), stand.image), `${what}: expected that the image is installed`)
  await runs(what, stand, 'good')
}
