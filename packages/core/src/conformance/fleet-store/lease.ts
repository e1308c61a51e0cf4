import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { FleetStore, Lease } from '../../plugin/fleet-store.ts'
import { progressOf } from '../../rollout/deployment.ts'
import type { FleetStoreRule } from '../fleet-store-suite.ts'
import { refused } from '../refusal.ts'
import { at, audit, found, intent, rule } from './fleet-rule.ts'

const from = Date.parse(at)
const asks = (plugin: FleetStore, holder: string, second: number, name = 'ticker'): Promise<Lease | undefined> =>
  plugin.lease(name, holder, { now: new Date(from + second * 1_000), until: new Date(from + second * 1_000 + 10_000) })

/** Who drives the deployments. */
export const fleetLeaseRules: readonly FleetStoreRule[] = [
  rule('lease', 'gives a lease to one holder at a time', async ({ plugin }) => {
    const first = (await asks(plugin, 'a', 0)) as Lease
    deepStrictEqual({ ...first, token: 0 }, { name: 'ticker', holder: 'a', token: 0 })
    strictEqual(await asks(plugin, 'b', 9), undefined)
    deepStrictEqual(await asks(plugin, 'a', 9), first, 'expected the holder to keep its lease and token')
    strictEqual(await asks(plugin, 'b', 18), undefined, 'expected a lease that was kept to last from then on')
    ok((await asks(plugin, 'b', 0, 'another')) !== undefined, 'expected leases of other names to be free')
  }),
  rule('lease-token', 'gives each new holder a greater token', async ({ plugin }) => {
    const tokens: number[] = []
    for (const [index, holder] of ['a', 'b', 'a', 'b'].entries()) tokens.push(((await asks(plugin, holder, index * 10)) as Lease).token)
    for (const [index, token] of tokens.entries()) ok(index === 0 || token > (tokens[index - 1] as number), `expected ${tokens} to ascend`)
  }),
  rule('lease-ahead', 'gives a lease away that was taken before the clock was set back', async ({ plugin }) => {
    const ahead = (await asks(plugin, 'a', 86_400)) as Lease
    const next = (await asks(plugin, 'b', 0)) as Lease | undefined
    ok(next !== undefined, 'expected a lease that ends in a day to keep nobody off, found it refused')
    ok(next.token > ahead.token, `expected a token above ${ahead.token}, found ${next.token}`)
  }),
  rule('fence', 'refuses what a holder writes whose lease another has taken', async ({ plugin }) => {
    const made = await plugin.createDeployment(intent('one'), { audit: audit('create', 'one') })
    const stale = (await asks(plugin, 'a', 0)) as Lease
    const fresh = (await asks(plugin, 'b', 20)) as Lease
    const next = { ...progressOf(made), wave: 1, size: 5, bound: 100 }
    const change = (fence: Lease) => plugin.changeDeployment('one', next, { ifVersion: made.version, fence, audit: audit('start', 'one') })
    await refused('a write under an old lease', { fault: 'unavailable', code: 'LEASE_LOST' }, () => change(stale))
    deepStrictEqual(await found(plugin, 'one'), made, 'expected nothing to be written')
    strictEqual((await plugin.audit({ limit: 10 })).length, 1, 'expected nothing to be recorded')
    await change(fresh)
    strictEqual((await found(plugin, 'one')).wave, 1)
  }),
]
