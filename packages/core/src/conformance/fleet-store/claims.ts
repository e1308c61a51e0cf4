import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import { noCounters } from '../../plugin/fleet-rules.ts'
import type { FleetDevice } from '../../plugin/fleet-store.ts'
import type { FleetStoreRule } from '../fleet-store-suite.ts'
import { refused } from '../refusal.ts'
import { at, audit, claim, conflicts, enrol, intent, move, opened, rule, settle, tallies } from './fleet-rule.ts'

/** Than the time of everything else. */
const later = '2030-01-02T03:04:05.678Z'

type Three = readonly [FleetDevice, FleetDevice, FleetDevice]

/** Places in a wave, and what becomes of them. */
export const fleetClaimRules: readonly FleetStoreRule[] = [
  rule('claim', 'gives a device one place, and says so when it asks again', async ({ plugin }) => {
    const [device] = (await opened(plugin, 2, 3)) as Three
    strictEqual(await plugin.update('roll', device.id), undefined)
    const update = { deployment: 'roll', device: device.id, wave: 1, state: 'offered', attempt: 1, attested: false, at, because: [] }
    deepStrictEqual(await claim(plugin, device), { is: 'taken', update })
    deepStrictEqual(await claim(plugin, device, 'offered', later), { is: 'standing', update })
    deepStrictEqual(await plugin.update('roll', device.id), update)
    deepStrictEqual(await tallies(plugin), { ...noCounters, offered: 1 })
  }),
  rule('claim-full', 'gives no more places than the wave has', async ({ plugin }) => {
    const [first, second, third] = (await opened(plugin, 2, 3)) as Three
    await claim(plugin, first)
    await settle(plugin, first, 'failed')
    await claim(plugin, second, 'skipped')
    deepStrictEqual(await claim(plugin, third), { is: 'full' })
    deepStrictEqual(await tallies(plugin), { ...noCounters, failed: 1, skipped: 1 })
    await move(plugin, 'roll', { wave: 2, size: 3 })
    const taken = await claim(plugin, third)
    strictEqual(taken.is === 'taken' && taken.update.wave, 2)
  }),
  rule('claim-not-running', 'gives no place while a deployment does not run, and takes none away', async ({ plugin }) => {
    const [first, second] = (await opened(plugin, 3, 3)) as Three
    await claim(plugin, first)
    for (const state of ['paused', 'aborted', 'finished'] as const) {
      await move(plugin, 'roll', { state })
      deepStrictEqual(await claim(plugin, second), { is: 'not-running' }, `while ${state}`)
      strictEqual((await claim(plugin, first)).is, 'standing', `while ${state}`)
    }
    deepStrictEqual(await tallies(plugin), { ...noCounters, offered: 1 })
  }),
  rule('claim-device-version', 'gives no place to a device that has changed since it was decided by', async ({ plugin }) => {
    const [device] = (await opened(plugin, 3, 3)) as Three
    await plugin.putDevice({ ...device, labels: { other: 'yes' } }, { ifVersion: device.version, audit: audit('label', device.id) })
    await conflicts('a claim by an old version of the device', () => claim(plugin, device))
    await conflicts('a claim of a device that is not there', () => claim(plugin, { ...device, id: 'nobody' }))
    deepStrictEqual(await tallies(plugin), noCounters)
  }),
  rule('settle', 'ends an update once, and counts it where it ended', async ({ plugin }) => {
    const devices = await opened(plugin, 3, 3)
    const states = ['confirmed', 'failed', 'unobserved'] as const
    for (const [index, device] of devices.entries()) {
      const state = states[index] as (typeof states)[number]
      strictEqual(await settle(plugin, device, state), false, 'expected nothing to end before it was offered')
      await claim(plugin, device)
      const because = [{ code: 'WHY', message: 'so it ended' }]
      const end = { deployment: 'roll', device: device.id, attempt: 1, state, attested: index === 0, at: later, because }
      strictEqual(await plugin.settle(end), true)
      strictEqual(await plugin.settle(end), false, 'expected a second end to change nothing')
      strictEqual(await settle(plugin, device, 'failed'), false, 'expected another end to change nothing')
      const update = { deployment: 'roll', device: device.id, wave: 1, state, attempt: 1, attested: index === 0, at: later, because }
      deepStrictEqual(await claim(plugin, device), { is: 'ended', update })
      deepStrictEqual(await plugin.update('roll', device.id), update)
    }
    deepStrictEqual(await tallies(plugin), { ...noCounters, confirmed: 1, failed: 1, unobserved: 1 })
  }),
  rule('withdrawn', 'keeps the place of an offer that was taken back, for the same device alone', async ({ plugin }) => {
    const [first, second] = (await opened(plugin, 1, 3)) as Three
    await claim(plugin, first)
    strictEqual(await settle(plugin, first, 'withdrawn'), true)
    deepStrictEqual(await claim(plugin, second), { is: 'full' })
    const again = await claim(plugin, first)
    strictEqual(again.is === 'taken' && again.update.attempt, 2)
    deepStrictEqual(await tallies(plugin), { ...noCounters, offered: 1 })
  }),
  rule('settle-attempt', 'does not let the end of an earlier attempt end a later one', async ({ plugin }) => {
    const [device] = (await opened(plugin, 1, 3)) as Three
    await claim(plugin, device)
    await settle(plugin, device, 'withdrawn', 1)
    await claim(plugin, device)
    strictEqual((await plugin.update('roll', device.id))?.attempt, 2)
    strictEqual(await settle(plugin, device, 'failed', 1), false)
    strictEqual(await settle(plugin, device, 'failed', 3), false)
    deepStrictEqual(await tallies(plugin), { ...noCounters, offered: 1 })
    strictEqual(await settle(plugin, device, 'confirmed', 2, true), true)
    deepStrictEqual(await tallies(plugin), { ...noCounters, confirmed: 1 })
  }),
  rule('claim-failing', 'gives no place from the failure on that reaches the threshold, until it is forgiven', async ({ plugin }) => {
    // Ten percent of twelve devices, rounded up: the second failure reaches it.
    const devices = await opened(plugin, 12, 12, 10)
    const [first, second, third, next, ...rest] = devices as readonly [...Three, FleetDevice, ...FleetDevice[]]
    for (const device of [first, second, third]) await claim(plugin, device)
    await settle(plugin, third, 'withdrawn')
    await settle(plugin, first, 'failed')
    strictEqual((await claim(plugin, next)).is, 'taken', 'expected a place before the threshold')
    await settle(plugin, second, 'failed')
    for (const device of rest) deepStrictEqual(await claim(plugin, device), { is: 'failing' })
    deepStrictEqual(await claim(plugin, third), { is: 'failing' }, 'for an offer that was taken back')
    strictEqual((await claim(plugin, next)).is, 'standing', 'expected an offer to stand that was made before')
    strictEqual((await claim(plugin, first)).is, 'ended')
    deepStrictEqual(await tallies(plugin), { ...noCounters, failed: 2, offered: 1, withdrawn: 1 })
    await move(plugin, 'roll', { forgiven: 2 })
    strictEqual((await claim(plugin, third)).is, 'taken', 'expected a place once the failures were forgiven')
  }),
  rule('skipped', 'counts a device that needs nothing, also where an offer was meant for it', async ({ plugin }) => {
    const [first, second] = (await opened(plugin, 3, 3)) as Three
    strictEqual((await claim(plugin, first, 'skipped')).is, 'taken')
    strictEqual((await claim(plugin, first, 'skipped')).is, 'ended')
    strictEqual((await claim(plugin, first)).is, 'ended', 'expected no offer to a device that was skipped')
    await claim(plugin, second)
    strictEqual((await claim(plugin, second, 'skipped')).is, 'taken')
    deepStrictEqual(await tallies(plugin), { ...noCounters, skipped: 2 })
  }),
  rule('awaited', 'counts who may still come to the open wave, and nobody who has left the selector', async ({ plugin }) => {
    const buckets = [2 ** 32 - 2, 2 ** 32 - 1, 0, 1, 2, 3]
    const devices: FleetDevice[] = []
    for (const [index, bucket] of buckets.entries()) devices.push(await enrol(plugin, `d${index}`, { site: 'a' }, { bucket }))
    await enrol(plugin, 'other', { site: 'b' }, { bucket: 0 })
    await plugin.createDeployment(intent('roll', { selector: { site: ['a'] } }), { audit: audit('create', 'roll') })
    deepStrictEqual(
      await plugin.awaited('roll', { start: 2 ** 32 - 1, bound: -1 }),
      { fresh: 0, withdrawn: 0, outside: 0 },
      'before the first wave',
    )
    // From the last bucket round to 2: four devices.
    await move(plugin, 'roll', { wave: 1, size: 4, bound: 3, waveAt: at })
    const counts = () => plugin.awaited('roll', { start: 2 ** 32 - 1, bound: 3 })
    deepStrictEqual(await counts(), { fresh: 4, withdrawn: 0, outside: 0 })
    const [, first, second, third] = devices as [FleetDevice, ...Three]
    for (const device of [first, second]) await claim(plugin, device)
    deepStrictEqual(await counts(), { fresh: 2, withdrawn: 0, outside: 0 }, 'with two offers')
    await settle(plugin, first, 'withdrawn')
    await settle(plugin, second, 'confirmed')
    deepStrictEqual(await counts(), { fresh: 2, withdrawn: 1, outside: 0 }, 'with an offer that was taken back')
    for (const { version, ...device } of [first, third])
      await plugin.putDevice({ ...device, labels: { site: 'b' } }, { ifVersion: version, audit: audit('label', device.id) })
    deepStrictEqual(await counts(), { fresh: 1, withdrawn: 0, outside: 1 }, 'after two have left the selector')
    // From 0 to 3, without going round.
    deepStrictEqual(await plugin.awaited('roll', { start: 0, bound: 3 }), { fresh: 2, withdrawn: 0, outside: 1 })
    await refused('a count of none', { fault: 'invalid', code: 'UNKNOWN_DEPLOYMENT' }, () => plugin.awaited('none', { start: 0, bound: 3 }))
  }),
  rule('updates-page', 'lists updates by device, page by page, and those of one state alone', async ({ plugin }) => {
    const devices = await opened(plugin, 5, 4)
    for (const device of devices.toReversed()) await claim(plugin, device)
    await settle(plugin, devices[1] as FleetDevice, 'failed')
    const listed = async (query: { readonly after?: string; readonly state?: 'offered' | 'failed'; readonly limit: number }) =>
      (await plugin.updates({ deployment: 'roll', ...query })).map(({ device }) => device)
    deepStrictEqual(await listed({ limit: 10 }), ['d000', 'd001', 'd002', 'd003'])
    deepStrictEqual(await listed({ limit: 2, after: 'd000' }), ['d001', 'd002'])
    deepStrictEqual(await listed({ limit: 10, state: 'offered' }), ['d000', 'd002', 'd003'])
    deepStrictEqual(await listed({ limit: 10, state: 'failed' }), ['d001'])
    deepStrictEqual(await plugin.updates({ deployment: 'none', limit: 10 }), [])
  }),
]
