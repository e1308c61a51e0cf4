import { createGateway, createRollout, type FleetStore, isOtaError, type Journal, OtaError, type ReflashOptions } from '@reflash/core'
import { memoryFleet, memoryJournal } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, world } from '../composition.ts'

const by = { by: 'ann' }
const at = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })
const ids = (count: number) => Array.from({ length: count }, (_, index) => `d${index}`)

/** A fleet in memory, of which so many devices have checked in, and its rollout of 1.1.0. */
async function fleetOf(count: number, options: Partial<ReflashOptions> = {}) {
  const fleet = options.fleet ?? memoryFleet()
  const from = world({ ...options, fleet })
  from.release('1.0.0')
  from.release('1.1.0')
  const gateway = createGateway(from.composition)
  const rollout = createRollout(gateway.composition)
  const ticker = rollout.ticker({ holder: 'one' })
  const ask = async (id: string, version = '1.0.0') => {
    const answer = await gateway.checkIn(principal(id), at(version))
    expect(answer.because.length).toBeGreaterThan(0)
    return answer
  }
  const offers = async (version = '1.0.0') => {
    const offered: string[] = []
    for (const id of ids(count)) if ((await ask(id, version)).offer !== undefined) offered.push(id)
    return offered
  }
  /** What others changed is seen after a second. */
  const tick = async () => {
    const done = await ticker.tick()
    from.clock.advance(1_500)
    return done.steps.map((step) => step.do)
  }
  const succeed = async (id: string) => {
    const { seq = 0 } = (await ask(id)).offer ?? {}
    await gateway.report(principal(id), seq, { state: 'installed' })
    return ask(id, '1.1.0')
  }
  const fail = async (id: string) => {
    const { seq = 0 } = (await ask(id)).offer ?? {}
    await gateway.report(principal(id), seq, { state: 'failed', code: 'BROKEN' })
  }
  const tallied = async () => {
    const deployment = await rollout.show('roll')
    expect(await fleet.recount('roll')).toEqual(deployment.counters)
    return deployment
  }
  for (const id of ids(count)) await ask(id)
  return { ...from, fleet, gateway, rollout, ticker, ask, offers, tick, succeed, fail, tallied }
}

describe('a fleet with a deployment', () => {
  test('is offered nothing before the first wave, then the wave and nobody else, then the rest', async () => {
    const { rollout, ask, offers, tick, succeed, tallied } = await fleetOf(20)
    expect((await ask('d0')).because[0]?.code).toBe('NO_DEPLOYMENT')
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [25, 100], successPercent: 80 }, by)
    expect(await offers()).toEqual([])
    expect(await tick()).toEqual(['start'])
    const first = await offers()
    expect(first).toHaveLength(5)
    expect(await offers()).toEqual(first)
    expect(await tallied()).toMatchObject({ wave: 1, size: 5, counters: { offered: 5 } })
    for (const id of first.slice(0, 3)) expect((await succeed(id)).because[0]?.code).toBe('UP_TO_DATE')
    expect(await tick()).toEqual([])
    await succeed(first[3] as string)
    expect(await tick()).toEqual(['start'])
    expect(await tallied()).toMatchObject({ wave: 2, size: 20, counters: { offered: 1, confirmed: 4 } })
    const rest = (await offers()).filter((id) => !first.slice(0, 4).includes(id))
    expect(rest).toHaveLength(16)
    for (const id of rest) await succeed(id)
    expect(await tick()).toEqual(['stop'])
    expect(await tallied()).toMatchObject({ state: 'finished', counters: { confirmed: 20, offered: 0 } })
  })

  test('pauses where too many fail, holds back what is not begun, and goes on when it is told to', async () => {
    const { rollout, gateway, ask, offers, tick, fail, succeed, tallied, events } = await fleetOf(40)
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [50, 100], failurePercent: 10 }, by)
    await tick()
    const wave = await offers()
    expect(wave).toHaveLength(20)
    const [one, two, begun, waiting] = wave as [string, string, string, string]
    await fail(one)
    expect(await tick()).toEqual([])
    await gateway.report(principal(begun), 1, { state: 'downloading' })
    await fail(two)
    expect(await tick()).toEqual(['pause'])
    expect(await tallied()).toMatchObject({ state: 'paused', because: [{ code: 'TOO_MANY_FAILURES' }], counters: { failed: 2 } })
    expect(events).toContainEqual(expect.objectContaining({ type: 'rollout', step: 'pause', deployment: 'roll' }))
    expect((await ask(waiting)).because.map(({ code }) => code)).toEqual(['DEPLOYMENT_PAUSED', 'TOO_MANY_FAILURES'])
    expect(await offers()).toEqual([begun])
    await rollout.resume('roll', by)
    expect(await tick()).toEqual([])
    expect((await ask(waiting)).offer).toMatchObject({ seq: 1, version: '1.1.0' })
    expect((await ask(one)).because[0]?.code).toBe('UPDATE_ENDED')
    await succeed(waiting)
    await fail(begun)
    expect(await tick()).toEqual([])
    await fail(wave[5] as string)
    expect(await tick()).toEqual(['pause'])
    expect((await rollout.audit({ subject: 'roll', limit: 10 })).map(({ by, action }) => `${by} ${action}`)).toEqual([
      'one pause',
      'ann resume',
      'one pause',
      'one start',
      'ann create',
    ])
  })

  test('is offered nothing more from the failure on that reaches the threshold, before any tick', async () => {
    const { rollout, gateway, ask, tick, tallied } = await fleetOf(40)
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [50, 100], failurePercent: 10 }, by)
    await tick()
    const offered: string[] = []
    const asked = ids(40)
    while (offered.length < 5) {
      const id = asked.shift() as string
      if ((await ask(id)).offer !== undefined) offered.push(id)
    }
    const [one, two, begun, waiting] = offered as [string, string, string, string]
    await gateway.report(principal(begun), 1, { state: 'downloading' })
    await gateway.report(principal(one), 1, { state: 'failed' })
    expect((await ask(waiting)).offer?.seq).toBe(1)
    await gateway.report(principal(two), 1, { state: 'failed' })
    for (const id of asked) {
      const { offer, because } = await ask(id)
      expect(offer, id).toBeUndefined()
      expect(because[0]?.code, id).toMatch(/^(?:TOO_MANY_FAILURES|LATER_WAVE)$/)
    }
    expect((await ask(waiting)).because.map(({ code }) => code)).toEqual(['TOO_MANY_FAILURES'])
    expect((await rollout.explain(waiting)).because.map(({ code }) => code)).toEqual(['UNDER_WAY', 'TOO_MANY_FAILURES'])
    expect((await ask(one)).because[0]?.code).toBe('UPDATE_ENDED')
    expect((await ask(begun)).offer?.seq).toBe(1)
    expect(await tallied()).toMatchObject({ state: 'running', counters: { failed: 2, offered: 3 } })
    expect(await tick()).toEqual(['pause'])
    await rollout.resume('roll', by)
    expect(await tick()).toEqual([])
    expect((await ask(waiting)).offer?.seq).toBe(1)
    expect(await tallied()).toMatchObject({ state: 'running', forgiven: 2 })
  })

  test('loses what it was offered and has not begun when its deployment is aborted, and gets what the next one brings', async () => {
    const { rollout, gateway, release, ask, tick, tallied, clock, fleet } = await fleetOf(4)
    release('1.2.0')
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [100] }, by)
    await tick()
    for (const id of ['d0', 'd1']) expect((await ask(id)).offer?.version).toBe('1.1.0')
    await gateway.report(principal('d1'), 1, { state: 'downloading' })
    await rollout.abort('roll', by)
    clock.advance(1_500)
    expect((await ask('d0')).because[0]?.code).toBe('NO_DEPLOYMENT')
    expect(await ask('d1')).toMatchObject({ cancel: 1, because: [{ code: 'SUPERSEDED' }] })
    await gateway.report(principal('d1'), 1, { state: 'cancel-refused' })
    expect((await ask('d1')).offer?.version).toBe('1.1.0')
    expect((await tallied()).counters).toMatchObject({ withdrawn: 1, offered: 1 })
    await rollout.create({ id: 'next', version: '1.2.0', waves: [100] }, by)
    await tick()
    expect((await ask('d0')).offer).toMatchObject({ seq: 2, version: '1.2.0' })
    expect((await ask('d1')).offer?.version).toBe('1.1.0')
    expect(await fleet.recount('next')).toMatchObject({ offered: 1 })
  })

  test('is governed by the youngest deployment that selects it, also when labels change', async () => {
    const { rollout, release, ask, tick, clock } = await fleetOf(4)
    release('1.2.0')
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [100] }, by)
    await rollout.create({ id: 'few', version: '1.2.0', waves: [100], selector: { ring: ['early', 'test'] } }, by)
    await rollout.label('d1', { ring: 'test' }, by)
    await tick()
    expect((await ask('d0')).offer?.version).toBe('1.1.0')
    expect((await ask('d1')).offer?.version).toBe('1.2.0')
    await rollout.label('d0', { ring: 'early' }, by)
    clock.advance(1_500)
    // The wave was counted when it began: one device, which it has.
    const moved = await ask('d0')
    expect(moved.because[0]?.code).toMatch(/^(?:LATER_WAVE|WAVE_FULL)$/)
    expect((await rollout.explain('d0')).deployment).toBe('few')
  })

  test('brings the release that was rolled out, and not what its tag was moved to', async () => {
    const { rollout, registry, release, ask, tick, clock } = await fleetOf(2)
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [100] }, by)
    await tick()
    expect((await ask('d0')).offer?.version).toBe('1.1.0')
    release('1.1.0', { filler: 'another image of the same version' })
    clock.advance(60_000)
    void registry
    expect((await ask('d1')).because.map(({ code }) => code)).toContain('RELEASE_MOVED')
  })

  test('does not wait for devices that run the version already, and counts nobody as confirmed who is not', async () => {
    const { rollout, ask, tick, tallied } = await fleetOf(10)
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [50, 100] }, by)
    await tick()
    for (const id of ids(10)) expect((await ask(id, '1.1.0')).because[0]?.code).toBe('UP_TO_DATE')
    expect(await tallied()).toMatchObject({ counters: { skipped: 5, confirmed: 0 } })
    expect(await tick()).toEqual(['start'])
  })

  test('never takes more places than the wave has, nor two for one device, with two replicas at once', async () => {
    const fleet = memoryFleet()
    const from = await fleetOf(30, { fleet })
    const other = createGateway({ ...from.composition, onEvent: () => {} })
    await from.rollout.create({ id: 'roll', version: '1.1.0', waves: [40, 100] }, by)
    await from.tick()
    const answers = await Promise.all(
      ids(30).flatMap((id) => [
        from.gateway.checkIn(principal(id), at('1.0.0')),
        other.checkIn(principal(id), at('1.0.0')),
        other.checkIn(principal(id), at('1.0.0')),
      ]),
    )
    const seqs = answers.flatMap(({ offer }) => (offer === undefined ? [] : [offer.seq]))
    expect(seqs).toHaveLength(3 * 12)
    expect(new Set(seqs)).toEqual(new Set([1]))
    expect(await from.tallied()).toMatchObject({ size: 12, counters: { offered: 12 } })
  })

  test('counts a silent device once, whose end nobody hears', async () => {
    const { rollout, gateway, tick, tallied } = await fleetOf(1)
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [100] }, by)
    await tick()
    const silent = principal('d0')
    const { offer } = await gateway.checkIn(silent, {}, undefined, { reports: false })
    expect(offer?.version).toBe('1.1.0')
    await gateway.read(silent, 'current', undefined)
    await gateway.sent(silent, 'current')
    expect((await tallied()).counters).toMatchObject({ unobserved: 1, offered: 0, confirmed: 0 })
    expect((await gateway.checkIn(silent, {}, undefined, { reports: false })).offer?.version).toBe('1.1.0')
    expect((await tallied()).counters).toMatchObject({ unobserved: 1, offered: 0, confirmed: 0 })
  })
})

/** A journal and a fleet store that lose their power before the nth write. */
function failing(cutAt: number) {
  let writes = 0
  const guarded = <A extends unknown[], R>(write: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      writes += 1
      if (writes >= cutAt) throw new OtaError('JOURNAL_UNAVAILABLE', 'unavailable', 'expected power, found none')
      return write(...args)
    }
  }
  return {
    journal: (journal: Journal): Journal => ({ ...journal, put: guarded(journal.put), delete: guarded(journal.delete) }),
    fleet: (fleet: FleetStore): FleetStore => ({
      ...fleet,
      putDevice: guarded(fleet.putDevice),
      claim: guarded(fleet.claim),
      settle: guarded(fleet.settle),
    }),
    writes: () => writes,
  }
}

describe('a server that dies between two writes', () => {
  const journey = async (cutAt: number) => {
    const [fleet, journal] = [memoryFleet(), memoryJournal()]
    const steady = await fleetOf(3, { fleet, journal })
    await steady.rollout.create({ id: 'roll', version: '1.1.0', waves: [100] }, by)
    await steady.tick()
    const cut = failing(cutAt)
    const dying = createGateway({ ...steady.composition, fleet: cut.fleet(fleet), journal: cut.journal(journal), onEvent: () => {} })
    const survive = async (work: () => Promise<unknown>) => {
      try {
        await work()
      } catch (error) {
        if (!isOtaError(error)) throw error
      }
    }
    const d0 = principal('d0')
    await survive(() => dying.checkIn(d0, at('1.0.0')))
    await survive(() => dying.report(d0, 1, { state: 'installed' }))
    await survive(() => dying.checkIn(d0, at('1.1.0')))
    return { ...steady, journal, writes: cut.writes() }
  }

  test('leaves no update uncounted and no place taken twice: the device comes again, or the ticker finds it', async () => {
    const { writes } = await journey(Number.POSITIVE_INFINITY)
    expect(writes).toBeGreaterThan(4)
    for (let cutAt = 1; cutAt <= writes; cutAt++) {
      const comes = await journey(cutAt)
      const { offer } = await comes.ask('d0', (await comes.journal.get('device/d0')) === undefined ? '1.0.0' : '1.1.0')
      if (offer !== undefined) await comes.succeed('d0')
      expect((await comes.tallied()).counters, `write ${cutAt}`).toMatchObject({ offered: 0, skipped: 0, confirmed: 1 })

      const stays = await journey(cutAt)
      stays.clock.advance(60_000)
      await stays.tick()
      const { counters } = await stays.tallied()
      const record = (await stays.journal.get('device/d0'))?.value as { history: unknown[] } | undefined
      expect(counters.confirmed, `write ${cutAt}`).toBe(record?.history.length ?? 0)
    }
  })
})

describe('two tickers', () => {
  test('take turns: one leads, the other takes over when it falls silent, and what the first writes then is refused', async () => {
    const { rollout, ticker, clock, fleet } = await fleetOf(4)
    const second = rollout.ticker({ holder: 'two', leaseMs: 5_000 })
    expect((await ticker.tick()).leads).toBe(true)
    expect((await second.tick()).leads).toBe(false)
    clock.advance(11_000)
    expect((await second.tick()).leads).toBe(true)
    expect((await ticker.tick()).leads).toBe(false)
    const stalled: FleetStore = {
      ...fleet,
      // Between its look and its write, another has taken over.
      cohort: async (...args) => {
        clock.advance(60_000)
        await second.tick()
        return fleet.cohort(...args)
      },
    }
    await rollout.create({ id: 'roll', version: '1.1.0', waves: [100] }, by)
    clock.advance(60_000)
    const third = createRollout(createGateway({ ...world({ fleet: stalled }).composition, clock: clock.now }).composition)
    await expect(third.ticker({ holder: 'three' }).tick()).rejects.toMatchObject({ code: 'LEASE_LOST' })
    expect((await rollout.show('roll')).wave).toBe(1)
  })

  test('end with their signal, and leave the lease to the next', async () => {
    const { rollout, fleet, clock } = await fleetOf(1)
    const controller = new AbortController()
    const running = rollout.ticker({ holder: 'one', everyMs: 1 }).run(controller.signal)
    controller.abort()
    await running
    expect(await fleet.lease('rollout', 'two', { now: clock.now(), until: clock.now() })).toMatchObject({ holder: 'two' })
  })
})
