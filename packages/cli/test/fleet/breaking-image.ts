import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { placesTaken } from '@reflash/core'
import { sqlFleet, sqlStore } from '@reflash/store-sql'
import { expect, onTestFinished } from 'vitest'
import { type FleetFacts, holds, imageOf, releases, serveFleet, until } from './served-fleet.ts'
import { virtualFleet } from './virtual-fleet.ts'

/** Three of ten devices break on the new image: it must be paused in the first wave, with nobody beyond it touched. */
export async function pausesBreakingImage(count: number, pollMs: number, limitMs: number): Promise<FleetFacts> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-fleet-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  await releases(folder)
  const server = await serveFleet(folder, 'server', '--poll-ms', String(pollMs))
  const fleet = virtualFleet({
    servers: [server.url],
    count,
    image: imageOf('1.0.0'),
    version: '1.0.0',
    works: (index) => index % 10 >= 3,
    pollMs,
  })
  onTestFinished(() => fleet.stop())
  await until('every device has checked in', limitMs, () => fleet.travellers.every(({ checkIns }) => checkIns > 0))
  await server.client.create({ id: 'roll', version: '1.1.0', waves: [20, 100], failurePercent: 10 })
  const begun = performance.now()
  await until('the deployment is paused', limitMs, async () => (await server.client.show('roll')).deployment.state !== 'running')
  const afterStart = performance.now() - begun
  const paused = (await server.client.show('roll')).deployment
  // Whoever had begun ends; nobody begins.
  await until('what had begun has ended', limitMs, () => {
    const begun = fleet.travellers.filter(({ offers }) => offers.size > 0)
    return begun.every(({ outcomes }) => outcomes.length > 0)
  })
  await fleet.stop()
  server.child.kill('SIGTERM')
  expect((await server.ended).exitCode).toBe(0)

  expect(paused).toMatchObject({ state: 'paused', wave: 1, size: Math.ceil(count / 5), because: [{ code: 'TOO_MANY_FAILURES' }] })
  const file = join(folder, 'server', 'journal.db')
  const [store, journal] = [sqlFleet({ file }), sqlStore({ file })]
  try {
    await holds(store, journal, 'roll')
    const { counters } = (await store.deployment('roll')) as NonNullable<Awaited<ReturnType<typeof store.deployment>>>
    const broken = fleet.travellers.filter(({ outcomes }) => outcomes.includes('rolled-back'))
    const updated = fleet.travellers.filter(({ outcomes }) => outcomes.includes('confirmed'))
    expect([counters.failed, counters.confirmed]).toEqual([broken.length, updated.length])
    expect(counters.failed).toBeGreaterThanOrEqual(Math.ceil(Math.ceil(count / 5) / 10))
    expect(fleet.travellers.filter(({ offers }) => offers.size > 0).length).toBeLessThanOrEqual(Math.ceil(count / 5))
    const offers = fleet.travellers.reduce((sum, { offers }) => sum + offers.size, 0)
    return {
      devices: count,
      replicas: 1,
      waves: paused.wave,
      offers,
      'double offers': offers - fleet.travellers.filter(({ offers }) => offers.size > 0).length,
      'highest places': `${placesTaken(counters)} of ${paused.size}`,
      confirmed: counters.confirmed,
      failed: counters.failed,
      'end after': `${Math.round(afterStart / 1000)} s`,
    }
  } finally {
    await store.close?.()
    await journal.close?.()
  }
}
