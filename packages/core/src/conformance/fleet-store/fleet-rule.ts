import { deepStrictEqual } from 'node:assert/strict'
import { placesTaken } from '../../plugin/fleet-rules.ts'
import type {
  AuditEntry,
  Claimed,
  Counters,
  Deployment,
  DeploymentIntent,
  DeploymentProgress,
  FleetDevice,
  FleetStore,
  Settlement,
} from '../../plugin/fleet-store.ts'
import { bucketOf } from '../../rollout/cohort.ts'
import { progressOf } from '../../rollout/deployment.ts'
import type { FleetStoreInstance } from '../fleet-store-suite.ts'
import { refused } from '../refusal.ts'
import { rulesOf } from '../suite.ts'

export const rule = rulesOf<FleetStoreInstance>('fleet-store')

export const at = '2030-01-01T00:00:00.000Z'
export const audit = (action = 'test', subject = 'd'): AuditEntry => ({ at, by: 'suite', action, subject, because: [] })

/** Holds that another writer was faster, as the contract says it. */
export async function conflicts(what: string, call: () => unknown): Promise<void> {
  await refused(what, { fault: 'unavailable', code: 'FLEET_CONFLICT' }, call)
}

/** Registers a device and returns it as it is stored. */
export async function enrol(
  plugin: FleetStore,
  id: string,
  labels: Readonly<Record<string, string>> = {},
  rest: Partial<FleetDevice> = {},
): Promise<FleetDevice> {
  const device = { id, bucket: bucketOf(id), ...rest, labels }
  const version = await plugin.putDevice(device, { ifVersion: null, audit: audit('label', id) })
  return { ...device, version }
}

export const intent = (id: string, more: Partial<DeploymentIntent> = {}): DeploymentIntent => ({
  id,
  at,
  release: { id: 'registry.test/lamp:1.1.0', repository: 'registry.test/lamp', version: '1.1.0' },
  selector: {},
  waves: [50, 100],
  successPercent: 90,
  failurePercent: 10,
  waveMs: 0,
  proof: false,
  ...more,
})

/** Moves a deployment as it is now. */
export async function move(plugin: FleetStore, id: string, change: Partial<DeploymentProgress>): Promise<Deployment> {
  const now = await found(plugin, id)
  await plugin.changeDeployment(id, { ...progressOf(now), ...change }, { ifVersion: now.version, audit: audit('move', id) })
  return found(plugin, id)
}

export async function found(plugin: FleetStore, id: string): Promise<Deployment> {
  return (await plugin.deployment(id)) as Deployment
}

/** A running deployment whose open wave has so many places, and so many devices beside it. Few failures pause it only where that is asked for. */
export async function opened(plugin: FleetStore, size: number, devices: number, failurePercent = 100): Promise<readonly FleetDevice[]> {
  const enrolled: FleetDevice[] = []
  for (let index = 0; index < devices; index++) enrolled.push(await enrol(plugin, `d${String(index).padStart(3, '0')}`))
  await plugin.createDeployment(intent('roll', { failurePercent }), { audit: audit('create', 'roll') })
  await move(plugin, 'roll', { wave: 1, size, bound: 2 ** 32 - 1, waveAt: at })
  return enrolled
}

export function claim(plugin: FleetStore, device: FleetDevice, as: 'offered' | 'skipped' = 'offered', when: string = at): Promise<Claimed> {
  return plugin.claim({ deployment: 'roll', device: device.id, deviceVersion: device.version, as, at: when })
}

export function settle(
  plugin: FleetStore,
  device: FleetDevice,
  state: Settlement['state'],
  attempt = 1,
  attested = false,
): Promise<boolean> {
  return plugin.settle({ deployment: 'roll', device: device.id, attempt, state, attested, at, because: [] })
}

/** Holds that counters, recount and wave agree, and returns the counters. */
export async function tallies(plugin: FleetStore, id = 'roll'): Promise<Counters> {
  const { counters, size } = await found(plugin, id)
  deepStrictEqual(await plugin.recount(id), counters, 'expected the counters that a recount of the updates gives')
  const taken = placesTaken(counters)
  deepStrictEqual(taken <= size, true, `expected at most ${size} places taken, found ${taken}`)
  return counters
}
