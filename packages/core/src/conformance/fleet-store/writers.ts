import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { isOtaError } from '../../errors.ts'
import { noCounters } from '../../plugin/fleet-rules.ts'
import type { Claimed, FleetDevice, FleetStore } from '../../plugin/fleet-store.ts'
import { progressOf } from '../../rollout/deployment.ts'
import type { FleetStoreInstance, FleetStoreRule } from '../fleet-store-suite.ts'
import { otaError } from '../refusal.ts'
import { at, audit, claim, enrol, found, intent, move, opened, rule, settle, tallies } from './fleet-rule.ts'

const count = (answers: readonly Claimed[], is: Claimed['is']): number => answers.filter((answer) => answer.is === is).length

async function oneWinner(what: string, contenders: readonly (() => Promise<unknown>)[]): Promise<void> {
  const results = await Promise.allSettled(contenders.map((contend) => contend()))
  for (const result of results)
    if (result.status === 'rejected') otaError(what, result.reason, { fault: 'unavailable', code: 'FLEET_CONFLICT' })
  const winners = results.filter(({ status }) => status === 'fulfilled').length
  strictEqual(winners, 1, `${what}: expected one winner, found ${winners}`)
}

/** Everybody claims a place at once, on each of the stores, twice. */
async function stampede(stores: readonly FleetStore[], devices: readonly FleetDevice[]): Promise<readonly Claimed[]> {
  return Promise.all(devices.flatMap((device) => stores.map((store) => claim(store, device))))
}

async function neverAbove(stores: readonly FleetStore[], plugin: FleetStore): Promise<void> {
  const devices = await opened(plugin, 7, 16)
  const answers = await stampede(stores, devices)
  strictEqual(count(answers, 'taken'), 7, 'expected as many places as the wave has')
  const places = answers.flatMap((answer) => (answer.is === 'taken' ? [answer.update.device] : []))
  strictEqual(new Set(places).size, 7, 'expected a place for each of seven devices')
  deepStrictEqual(await tallies(plugin), { ...noCounters, offered: 7 })
}

/** Claims, ends and pauses cross each other; whatever order they take, the counters are those of the updates. */
async function crossing(stores: readonly FleetStore[], plugin: FleetStore): Promise<void> {
  const devices = await opened(plugin, 10, 12)
  const states = ['confirmed', 'failed', 'withdrawn', 'unobserved'] as const
  const journey = async (device: FleetDevice, index: number): Promise<void> => {
    const store = stores[index % stores.length] as FleetStore
    for (let round = 0; round < 3; round++) {
      const answer = await claim(store, device, index % 5 === 4 ? 'skipped' : 'offered')
      if (answer.is !== 'taken') continue
      const state = states[(index + round) % states.length] as (typeof states)[number]
      await Promise.all(stores.map((each) => settle(each, device, state, answer.update.attempt)))
    }
  }
  const toggles = async (): Promise<void> => {
    for (const state of ['paused', 'running', 'paused', 'running'] as const) await move(plugin, 'roll', { state })
  }
  await Promise.all([...devices.map(journey), toggles()])
  const { state, wave, size } = await found(plugin, 'roll')
  deepStrictEqual({ state, wave, size }, { state: 'running', wave: 1, size: 10 })
  await tallies(plugin)
}

const durable = {
  what: 'again()',
  missing: 'make() gives no again(): it does not outlive its process',
  has: ({ again }: FleetStoreInstance) => again !== undefined,
}
const shared = {
  what: 'second()',
  missing: 'make() gives no second(): its storage is its own',
  has: ({ second }: FleetStoreInstance) => second !== undefined,
}
const both = async ({ plugin, second }: FleetStoreInstance): Promise<readonly FleetStore[]> => [
  plugin,
  await (second as NonNullable<typeof second>)(),
]

/** Several writers, and what outlives them. */
export const fleetWriterRules: readonly FleetStoreRule[] = [
  rule('one-winner', 'lets one of many writers win who name the same version', async ({ plugin }) => {
    const contenders = Array.from({ length: 8 }, (_, index) => index)
    await oneWinner(
      'registration of one device',
      contenders.map((bucket) => () => plugin.putDevice({ id: 'd', bucket, labels: {} }, { ifVersion: null })),
    )
    const { version } = (await plugin.device('d')) as FleetDevice
    await oneWinner(
      'change of one device',
      contenders.map((bucket) => () => plugin.putDevice({ id: 'd', bucket, labels: {} }, { ifVersion: version })),
    )
    await oneWinner(
      'creation of one deployment',
      contenders.map(() => () => plugin.createDeployment(intent('one'), { audit: audit() })),
    )
    const made = await found(plugin, 'one')
    await oneWinner(
      'move of one deployment',
      contenders.map(
        (size) => () => plugin.changeDeployment('one', { ...progressOf(made), size }, { ifVersion: made.version, audit: audit() }),
      ),
    )
    strictEqual((await plugin.audit({ limit: 10 })).length, 2, 'expected a record of what was done, and of nothing else')
  }),
  rule('one-place', 'gives a device one place, however many ask for it at once', async ({ plugin }) => {
    const [device] = await opened(plugin, 5, 1)
    const answers = await Promise.all(Array.from({ length: 10 }, () => claim(plugin, device as FleetDevice)))
    strictEqual(count(answers, 'taken'), 1)
    strictEqual(count(answers, 'standing'), 9)
    deepStrictEqual(await tallies(plugin), { ...noCounters, offered: 1 })
    const ends = await Promise.all(Array.from({ length: 10 }, () => settle(plugin, device as FleetDevice, 'failed')))
    strictEqual(ends.filter(Boolean).length, 1, 'expected one of many ends to count')
    deepStrictEqual(await tallies(plugin), { ...noCounters, failed: 1 })
  }),
  rule('never-above', 'never gives more places than the wave has, however many ask at once', async ({ plugin }) => {
    await neverAbove([plugin, plugin], plugin)
  }),
  rule('one-lease', 'gives a lease to one of many who ask at once', async ({ plugin }) => {
    const times = { now: new Date(at), until: new Date(Date.parse(at) + 1_000) }
    for (const now of [times.now, new Date(Date.parse(at) + 5_000)]) {
      const until = new Date(now.getTime() + 1_000)
      const holders = Array.from({ length: 8 }, (_, index) => `${now.getTime()} ${index}`)
      const leases = await Promise.all(holders.map((holder) => plugin.lease('ticker', holder, { now, until })))
      strictEqual(leases.filter((lease) => lease !== undefined).length, 1)
    }
  }),
  rule('crossing', 'counts right while claims, ends and pauses cross each other', async ({ plugin }) => {
    await crossing([plugin, plugin], plugin)
  }),
  rule(
    'two-never-above',
    'never gives more places than the wave has to the devices of two replicas',
    async (instance) => {
      await neverAbove(await both(instance), instance.plugin)
    },
    shared,
  ),
  rule(
    'two-crossing',
    'counts right while claims, ends and pauses of two replicas cross each other',
    async (instance) => {
      await crossing(await both(instance), instance.plugin)
    },
    shared,
  ),
  rule(
    'two-see',
    'shows one replica what the other has acknowledged, and fences one by the lease of the other',
    async (instance) => {
      const [one, other] = (await both(instance)) as [FleetStore, FleetStore]
      const before = await other.revision()
      const device = await enrol(one, 'd1', { site: 'a' })
      deepStrictEqual(await other.device('d1'), device)
      ok((await other.revision()) !== before, 'expected another revision for the other replica too')
      const made = await one.createDeployment(intent('one'), { audit: audit() })
      const stale = await one.lease('ticker', 'one', { now: new Date(at), until: new Date(at) })
      await other.lease('ticker', 'other', { now: new Date(Date.parse(at) + 1_000), until: new Date(Date.parse(at) + 9_000) })
      const error: unknown = await one
        .changeDeployment('one', progressOf(made), { ifVersion: made.version, audit: audit(), ...(stale && { fence: stale }) })
        .catch((refusal: unknown) => refusal)
      ok(isOtaError(error) && error.code === 'LEASE_LOST', 'expected the older lease to be refused by the store of the other')
    },
    shared,
  ),
  rule(
    'durable',
    'keeps what it has acknowledged over a restart',
    async ({ plugin, again }) => {
      const [device] = await opened(plugin, 2, 2)
      await claim(plugin, device as FleetDevice)
      const held = await plugin.lease('ticker', 'a', { now: new Date(at), until: new Date(Date.parse(at) + 60_000) })
      const [roll, revision, audits] = [await plugin.deployment('roll'), await plugin.revision(), await plugin.audit({ limit: 100 })]
      const reopened = await (again as NonNullable<typeof again>)()
      deepStrictEqual(await reopened.deployment('roll'), roll)
      deepStrictEqual(await reopened.device('d000'), device)
      strictEqual(await reopened.revision(), revision)
      deepStrictEqual(await reopened.audit({ limit: 100 }), audits)
      deepStrictEqual(await tallies(reopened), { ...noCounters, offered: 1 })
      strictEqual(await reopened.lease('ticker', 'b', { now: new Date(at), until: new Date(at) }), undefined)
      deepStrictEqual(await reopened.lease('ticker', 'a', { now: new Date(at), until: new Date(at) }), held)
    },
    durable,
  ),
]
