import { deepStrictEqual, notStrictEqual, strictEqual } from 'node:assert/strict'
import { noCounters } from '../../plugin/fleet-rules.ts'
import type { DeploymentProgress } from '../../plugin/fleet-store.ts'
import { notStarted, progressOf } from '../../rollout/deployment.ts'
import type { FleetStoreRule } from '../fleet-store-suite.ts'
import { refused } from '../refusal.ts'
import { at, audit, claim, conflicts, found, intent, move, opened, rule, settle } from './fleet-rule.ts'

/** Deployments, releases, and the record of who did what. */
export const fleetDeploymentRules: readonly FleetStoreRule[] = [
  rule('deployment-kept', 'gives a deployment back as it was made, nothing begun', async ({ plugin }) => {
    strictEqual(await plugin.deployment('one'), undefined)
    const wanted = intent('one', {
      selector: { site: ['a', 'b'], model: ['lamp'] },
      waves: [0.5, 100],
      proof: true,
      waveMs: 3_600_000,
      release: { id: 'x', repository: 'r', version: '2.0.0', digest: `sha256:${'0'.repeat(64)}` },
    })
    const made = await plugin.createDeployment(wanted, { audit: audit('create', 'one') })
    const { number, version, ...rest } = made
    deepStrictEqual(rest, { ...wanted, ...notStarted, counters: noCounters })
    deepStrictEqual(await plugin.deployment('one'), made)
  }),
  rule('deployment-taken', 'gives an id to one deployment only', async ({ plugin }) => {
    const made = await plugin.createDeployment(intent('one'), { audit: audit() })
    await conflicts('a second deployment of the same id', () =>
      plugin.createDeployment(intent('one', { waves: [100] }), { audit: audit() }),
    )
    deepStrictEqual(await plugin.deployment('one'), made)
  }),
  rule('deployment-conflict', 'moves a deployment only over the version that its writer knows', async ({ plugin }) => {
    const made = await plugin.createDeployment(intent('one'), { audit: audit('create', 'one') })
    const next = { ...progressOf(made), state: 'paused' as const, because: [{ code: 'ASKED', message: 'somebody asked' }] }
    const version = await plugin.changeDeployment('one', next, { ifVersion: made.version, audit: audit('pause', 'one') })
    notStrictEqual(version, made.version)
    deepStrictEqual(await plugin.deployment('one'), { ...made, ...next, version })
    await conflicts('a move over an old version', () =>
      plugin.changeDeployment('one', { ...next, state: 'aborted' }, { ifVersion: made.version, audit: audit('abort', 'one') }),
    )
    strictEqual((await found(plugin, 'one')).state, 'paused')
    deepStrictEqual(
      (await plugin.audit({ subject: 'one', limit: 10 })).map(({ action }) => action),
      ['pause', 'create'],
    )
  }),
  rule(
    'deployment-moved',
    'gives a deployment back as it was moved, in every member, and without those that a move leaves away',
    async ({ plugin }) => {
      const made = await plugin.createDeployment(intent('one'), { audit: audit('create', 'one') })
      const moves: readonly DeploymentProgress[] = [
        { state: 'running', wave: 1, size: 7, bound: 0, waveAt: '2030-03-01T12:00:00.123Z', forgiven: 0, because: [] },
        { state: 'paused', wave: 2, size: 70, bound: 2 ** 32 - 1, waveAt: at, forgiven: 3, because: [{ code: 'WHY', message: 'é\n' }] },
        { state: 'running', wave: 2, size: 70, bound: 5, forgiven: 4, because: [] },
      ]
      let { version } = made
      for (const progress of moves) {
        version = await plugin.changeDeployment('one', progress, { ifVersion: version, audit: audit('move', 'one') })
        const { waveAt: _, ...rest } = made
        deepStrictEqual(await plugin.deployment('one'), { ...rest, ...progress, version })
      }
    },
  ),
  rule('deployment-unknown', 'knows no deployment that was never made', async ({ plugin }) => {
    const unknown = { fault: 'invalid', code: 'UNKNOWN_DEPLOYMENT' } as const
    await refused('a move of none', unknown, () => plugin.changeDeployment('none', notStarted, { ifVersion: '1', audit: audit() }))
    await refused('a claim in none', unknown, () =>
      plugin.claim({ deployment: 'none', device: 'd', deviceVersion: '1', as: 'offered', at }),
    )
  }),
  rule('deployments-young', 'lists the youngest deployment first, and leaves out on demand what has ended', async ({ plugin }) => {
    for (const id of ['b', 'a', 'd', 'c']) await plugin.createDeployment(intent(id), { audit: audit('create', id) })
    await move(plugin, 'a', { state: 'aborted' })
    await move(plugin, 'd', { state: 'paused' })
    const all = await plugin.deployments({ limit: 10 })
    deepStrictEqual(
      all.map(({ id }) => id),
      ['c', 'd', 'a', 'b'],
    )
    for (const [index, { number }] of all.entries())
      strictEqual(number > (all[index + 1]?.number ?? 0), true, 'number: expected it to grow')
    deepStrictEqual(
      (await plugin.deployments({ open: true, limit: 2 })).map(({ id }) => id),
      ['c', 'd'],
    )
    await move(plugin, 'c', { state: 'finished' })
    deepStrictEqual(
      (await plugin.deployments({ open: true, limit: 10 })).map(({ id }) => id),
      ['d', 'b'],
    )
  }),
  rule(
    'deployment-revision',
    'has another revision after a deployment was made or moved, and the same after a claim',
    async ({ plugin }) => {
      const before = await plugin.revision()
      const [device] = await opened(plugin, 2, 1)
      const after = await plugin.revision()
      notStrictEqual(after, before)
      await claim(plugin, device as NonNullable<typeof device>)
      strictEqual(await plugin.revision(), after, 'expected the same revision after a claim: each device would make all others read anew')
      await move(plugin, 'roll', { state: 'paused' })
      notStrictEqual(await plugin.revision(), after)
    },
  ),
  rule(
    'counters-apart',
    'moves a deployment without touching its counters, and counts without changing its version',
    async ({ plugin }) => {
      const [device] = await opened(plugin, 2, 1)
      const before = await found(plugin, 'roll')
      await claim(plugin, device as NonNullable<typeof device>)
      strictEqual((await found(plugin, 'roll')).version, before.version, 'expected a claim to leave the version')
      await move(plugin, 'roll', { state: 'paused' })
      await settle(plugin, device as NonNullable<typeof device>, 'failed')
      deepStrictEqual((await found(plugin, 'roll')).counters, { ...noCounters, failed: 1 })
    },
  ),
  rule('releases', 'keeps a release once, as it was first named', async ({ plugin }) => {
    await plugin.createDeployment(intent('one'), { audit: audit() })
    const { release } = await plugin.createDeployment(
      intent('two', { release: { id: 'registry.test/lamp:1.1.0', repository: 'registry.test/other', version: '9.9.9' } }),
      { audit: audit() },
    )
    strictEqual(release.version, '1.1.0', 'expected the release that was stored under this id')
    await plugin.createDeployment(intent('three', { release: { id: 'a', repository: 'r', version: '2.0.0' } }), { audit: audit() })
    deepStrictEqual(
      (await plugin.releases({ limit: 10 })).map(({ id }) => id),
      ['a', 'registry.test/lamp:1.1.0'],
    )
    deepStrictEqual(
      (await plugin.releases({ after: 'a', limit: 1 })).map(({ id }) => id),
      ['registry.test/lamp:1.1.0'],
    )
  }),
  rule('audit', 'tells who did what, the newest first', async ({ plugin }) => {
    const entry = { ...audit('create', 'one'), by: 'ann', because: [{ code: 'WHY', message: 'because' }] }
    await plugin.createDeployment(intent('one'), { audit: entry })
    await plugin.createDeployment(intent('two'), { audit: audit('create', 'two') })
    await move(plugin, 'one', { state: 'paused' })
    deepStrictEqual(
      (await plugin.audit({ limit: 10 })).map(({ action, subject }) => `${action} ${subject}`),
      ['move one', 'create two', 'create one'],
    )
    deepStrictEqual(await plugin.audit({ subject: 'one', limit: 10 }), [audit('move', 'one'), entry])
    strictEqual((await plugin.audit({ limit: 1 })).length, 1)
  }),
]
