import { deepStrictEqual, notStrictEqual, strictEqual } from 'node:assert/strict'
import { positionOf } from '../../plugin/fleet-rules.ts'
import type { FleetDevice } from '../../plugin/fleet-store.ts'
import type { FleetStoreRule } from '../fleet-store-suite.ts'
import { refused } from '../refusal.ts'
import { audit, conflicts, enrol, rule } from './fleet-rule.ts'

const ids = (devices: readonly FleetDevice[]): readonly string[] => devices.map(({ id }) => id)

/** Devices and their labels. */
export const fleetDeviceRules: readonly FleetStoreRule[] = [
  rule('device-kept', 'gives a device back as it was stored', async ({ plugin }) => {
    strictEqual(await plugin.device('d1'), undefined)
    const device = await enrol(plugin, 'd1', { site: 'a', __proto__x: 'b' }, { model: 'lamp', installed: '1.0.0', bucket: 2 ** 32 - 1 })
    deepStrictEqual(await plugin.device('d1'), device)
    const bare = await enrol(plugin, 'd2', {}, { bucket: 0 })
    deepStrictEqual(await plugin.device('d2'), bare)
  }),
  rule('device-conflict', 'changes a device only over the version that its writer knows', async ({ plugin }) => {
    const device = await enrol(plugin, 'd1')
    const { version, ...put } = device
    await conflicts('put of a known device as new', () => plugin.putDevice(put, { ifVersion: null }))
    const next = await plugin.putDevice({ ...put, installed: '1.0.0', model: 'lamp' }, { ifVersion: version })
    notStrictEqual(next, version)
    await conflicts('put over an old version', () => plugin.putDevice({ ...put, installed: '2.0.0' }, { ifVersion: version }))
    await conflicts('put of a device that is not there', () => plugin.putDevice({ ...put, id: 'd2' }, { ifVersion: version }))
    deepStrictEqual(await plugin.device('d1'), { ...device, installed: '1.0.0', model: 'lamp', version: next })
    const last = await plugin.putDevice({ ...put, installed: '1.1.0', model: 'pump' }, { ifVersion: next })
    deepStrictEqual(await plugin.device('d1'), { ...device, installed: '1.1.0', model: 'pump', version: last })
    strictEqual(await plugin.device('d2'), undefined)
  }),
  rule('labels-by-audit', 'changes labels only where somebody answers for it', async ({ plugin }) => {
    const { version, ...put } = await enrol(plugin, 'd1', { site: 'a', ring: '1' })
    const kept = await plugin.putDevice({ ...put, labels: { site: 'b' } }, { ifVersion: version })
    deepStrictEqual((await plugin.device('d1'))?.labels, { site: 'a', ring: '1' })
    await plugin.putDevice({ ...put, labels: { site: 'b' } }, { ifVersion: kept, audit: audit('label', 'd1') })
    deepStrictEqual((await plugin.device('d1'))?.labels, { site: 'b' })
  }),
  rule('device-page', 'lists devices by id, page by page, and those alone that a selector matches', async ({ plugin }) => {
    for (const id of ['b', 'a', 'B', 'a:1', 'c']) await enrol(plugin, id, { site: id < 'b' ? 'x' : 'y' }, { model: 'lamp' })
    await enrol(plugin, 'd', { site: 'x', ring: '1' }, { model: 'pump' })
    deepStrictEqual(ids(await plugin.devices({ limit: 10 })), ['B', 'a', 'a:1', 'b', 'c', 'd'])
    deepStrictEqual(ids(await plugin.devices({ limit: 2, after: 'a' })), ['a:1', 'b'])
    deepStrictEqual(ids(await plugin.devices({ limit: 10, selector: { site: ['x'] } })), ['B', 'a', 'a:1', 'd'])
    deepStrictEqual(ids(await plugin.devices({ limit: 10, selector: { site: ['x'], model: ['lamp'] } })), ['B', 'a', 'a:1'])
    deepStrictEqual(ids(await plugin.devices({ limit: 10, selector: { site: ['x', 'y'], ring: ['1'] } })), ['d'])
    deepStrictEqual(await plugin.devices({ limit: 10, selector: { nobody: ['x'] } }), [])
  }),
  rule('page-limit', 'refuses a page without a finite limit', async ({ plugin }) => {
    for (const limit of [0, -1, 1.5, 1001, Number.NaN, Number.POSITIVE_INFINITY]) {
      await refused(`devices of limit ${limit}`, { fault: 'invalid', code: 'INVALID_PAGE' }, () => plugin.devices({ limit }))
      await refused(`deployments of limit ${limit}`, { fault: 'invalid', code: 'INVALID_PAGE' }, () => plugin.deployments({ limit }))
      await refused(`audit of limit ${limit}`, { fault: 'invalid', code: 'INVALID_PAGE' }, () => plugin.audit({ limit }))
    }
  }),
  rule('cohort', 'counts what a selector matches, and finds how far a percent reaches from any start', async ({ plugin }) => {
    const buckets = [0, 7, 1_000_000, 2 ** 31, 2 ** 32 - 5, 2 ** 32 - 1]
    for (const [index, bucket] of buckets.entries()) await enrol(plugin, `d${index}`, { site: 'a' }, { bucket })
    await enrol(plugin, 'other', { site: 'b' }, { bucket: 8 })
    for (const start of [0, 1, 8, 2 ** 31, 2 ** 32 - 4]) {
      const positions = buckets.map((bucket) => positionOf(bucket, start)).sort((a, b) => a - b)
      for (const [percent, size] of [
        [1, 1],
        [50, 3],
        [51, 4],
        [100, 6],
      ] as const) {
        const expected = { members: 6, size, bound: positions[size - 1] }
        deepStrictEqual(await plugin.cohort({ site: ['a'] }, start, percent), expected, `${percent} % from ${start}`)
      }
    }
    deepStrictEqual(await plugin.cohort({ site: ['c'] }, 5, 50), { members: 0, size: 0, bound: -1 })
  }),
  rule('revision', 'has another revision after labels have changed, and the same one after a device registered', async ({ plugin }) => {
    const before = await plugin.revision()
    const version = await plugin.putDevice({ id: 'd1', bucket: 1, labels: {} }, { ifVersion: null })
    strictEqual(await plugin.revision(), before, 'expected the same revision after a registration')
    await plugin.putDevice({ id: 'd1', bucket: 1, labels: { a: 'b' } }, { ifVersion: version, audit: audit('label', 'd1') })
    notStrictEqual(await plugin.revision(), before, 'expected another revision after labels have changed')
  }),
]
