import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Deployment, isOtaError, placesTaken } from '@reflash/core'
import { sqlFleet, sqlStore } from '@reflash/store-sql'
import { expect, onTestFinished } from 'vitest'
import { startPostgres } from '../../../store-sql/test/postgres-server.ts'
import { type FleetFacts, holds, imageOf, releases, serveFleet, until } from './served-fleet.ts'
import { virtualFleet } from './virtual-fleet.ts'

/** Two replicas on one PostgreSQL, of which one is killed without warning in the middle of a wave: what must hold, holds at every look. */
export async function survivesAKilledReplica(count: number, pollMs: number, limitMs: number): Promise<FleetFacts> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-replicas-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const postgres = await startPostgres()
  onTestFinished(() => postgres.stop())
  await releases(folder)
  const options = ['--store', postgres.url, '--poll-ms', String(pollMs)]
  const [one, two] = await Promise.all([serveFleet(folder, 'one', ...options), serveFleet(folder, 'two', ...options)])
  const [store, journal] = [sqlFleet({ url: postgres.url, connections: 2 }), sqlStore({ url: postgres.url, connections: 2 })]
  onTestFinished(async () => {
    await store.close?.()
    await journal.close?.()
  })
  await store.revision()
  await journal.get('opened')
  // This process is busy with its devices: a connection that it cannot open in time says nothing about the servers.
  const deployment = async (): Promise<Deployment | undefined> => {
    for (let round = 1; ; round++) {
      try {
        return await store.deployment('roll')
      } catch (error) {
        if (!isOtaError(error) || error.fault !== 'unavailable' || round === 10) throw error
      }
    }
  }
  // One of twenty breaks: enough to be counted, too few to pause.
  const works = (index: number): boolean => index % 20 !== 7
  const fleet = virtualFleet({ servers: [one.url, two.url], count, image: imageOf('1.0.0'), version: '1.0.0', works, pollMs })
  onTestFinished(() => fleet.stop())
  await until('every device has checked in', limitMs, () => fleet.travellers.every(({ checkIns }) => checkIns > 0))
  await two.client.create({ id: 'roll', version: '1.1.0', waves: [30, 100], successPercent: 60, failurePercent: 40 })

  let highest = 0
  const looks = { done: false, count: 0 }
  const looking = (async () => {
    while (!looks.done) {
      const { counters, size } = (await deployment()) as Deployment
      highest = Math.max(highest, placesTaken(counters))
      expect(placesTaken(counters)).toBeLessThanOrEqual(size)
      looks.count += 1
      await pause(10)
    }
  })()
  looking.catch(() => undefined)
  const taken = async (): Promise<number> => {
    const found = await deployment()
    return found === undefined ? 0 : placesTaken(found.counters)
  }
  await until('the first wave is being offered', limitMs, async () => (await taken()) > count / 20)
  one.child.kill('SIGKILL')
  await one.ended
  const killedAt = await taken()
  const killed = performance.now()
  await until('every device has ended', limitMs, async () => (await deployment())?.state === 'finished')
  const afterKill = performance.now() - killed
  looks.done = true
  await looking
  await fleet.stop()
  two.child.kill('SIGTERM')
  expect((await two.ended).exitCode).toBe(0)

  await holds(store, journal, 'roll')
  const last = (await deployment()) as Deployment
  expect(last).toMatchObject({ state: 'finished', wave: 2, size: count })
  const broken = fleet.travellers.filter((_, index) => !works(index)).length
  expect(last.counters).toMatchObject({ failed: broken, confirmed: count - broken, offered: 0 })
  for (const { id, offers } of fleet.travellers) expect(offers.size, id).toBe(1)
  const offers = fleet.travellers.reduce((sum, { offers }) => sum + offers.size, 0)
  const starts = (await store.audit({ subject: 'roll', limit: 100 })).filter(({ action }) => action === 'start')
  expect(starts.length, 'waves that were started').toBe(2)
  return {
    devices: count,
    replicas: 2,
    waves: 2,
    offers,
    'double offers': offers - count,
    'highest places': `${highest} of ${last.size}, ${looks.count} looks`,
    confirmed: last.counters.confirmed,
    failed: last.counters.failed,
    killed: `after ${killedAt} offers`,
    'end after': `${Math.round(afterKill / 1000)} s`,
  }
}
