import { type AgentPort, createEngine, type Driver, type EngineOptions, type OtaEvent, type Target } from '@reflash/core'
import {
  type MemoryDevice,
  type MemoryDeviceOptions,
  type MemoryPlan,
  memoryDevice,
  memoryTarget,
  memoryTransport,
} from '@reflash/core/testing'
import { image, world } from '../composition.ts'

/** A device that runs 1.0.0, and an engine that reaches it. */
export function scene(device: Partial<MemoryDeviceOptions> = {}, options: Partial<EngineOptions> = {}) {
  const from = world(options)
  const unit = memoryDevice({ id: 'd1', runs: image('board', '1.0.0'), ...device })
  const engineOptions: EngineOptions = { ...from.composition, transports: [memoryTransport([unit])], lookAgainMs: 1, ...options }
  const outcomes = (): readonly string[] =>
    from.events.flatMap((event: OtaEvent) => (event.type === 'device' ? [`${event.seq} ${event.stage} ${event.status}`] : []))
  return { ...from, unit, options: engineOptions, engine: createEngine(engineOptions), outcomes }
}

/** The memory target with a driver of the test's own making. */
export function targetWith(change: (good: Driver<AgentPort, MemoryPlan>) => Partial<Driver<AgentPort, MemoryPlan>>): Target {
  const target = memoryTarget()
  const good = target.drive?.agent as Driver<AgentPort, MemoryPlan>
  return { ...target, drive: { agent: { ...good, ...change(good) } } } as Target
}

export const version = (unit: MemoryDevice): string | undefined => unit.state().installed?.version
