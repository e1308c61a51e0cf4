import {
  type Connection,
  createEngine,
  createGateway,
  type Digest,
  digestOf,
  isOtaError,
  type Observation,
  OtaError,
  type Transport,
} from '@reflash/core'
import { type MemoryAgentPort, memoryCache, memoryDevice, memoryTarget, memoryTransport } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { image, principal, repository, world } from './composition.ts'
import { crash, watchedJournal } from './gateway/pull.ts'
import { scene, targetWith, version } from './push/push.ts'

const d1 = { id: 'd1', model: 'board' }

describe('a push', () => {
  test('takes a device through every room, and leaves the connection', async () => {
    const { release, engine, unit, outcomes, events } = scene()
    release('1.1.0')
    expect(await engine.update(d1)).toEqual({ seq: 1, version: '1.1.0', outcome: 'confirmed', because: [] })
    expect(version(unit)).toBe('1.1.0')
    expect(unit.calls.at(-1)).toBe('dispose')
    expect(outcomes().filter((line) => line.endsWith('passed'))).toEqual([
      '1 admit passed',
      '1 plan passed',
      '1 deliver passed',
      '1 install passed',
      '1 confirm passed',
    ])
    expect(events.some((event) => event.type === 'progress' && event.deviceId === 'd1' && event.done === event.total)).toBe(true)
  })

  test('without a reference takes the highest version that the device may have, by the way that its floor asks for', async () => {
    const { release, engine, unit } = scene()
    release('1.6.0')
    release('2.0.0', { from: '>=1.5.0' })
    release('9.0.0', { unsigned: true })
    release('1.7.0-beta.1')
    for (const expected of ['1.6.0', '2.0.0']) {
      expect(await engine.update(d1)).toMatchObject({ version: expected, outcome: 'confirmed' })
      expect(version(unit)).toBe(expected)
    }
    const upToDate = { code: 'PLAN_REFUSED', because: [{ code: 'SIGNATURE_REFUSED/SIGNATURE_NOT_FOUND' }] }
    await expect(engine.update(d1)).rejects.toMatchObject(upToDate)
  })

  test('says why there is nothing to push', async () => {
    const { release, engine, registry } = scene()
    registry.addContent(repository, 'text/plain', new Uint8Array())
    await expect(engine.update(d1)).rejects.toMatchObject({ code: 'PLAN_REFUSED', because: [{ code: 'NO_RELEASE' }] })
    release('1.0.0')
    await expect(scene().engine.update(d1)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const current = scene()
    current.release('1.0.0')
    await expect(current.engine.update(d1)).rejects.toMatchObject({ code: 'PLAN_REFUSED', because: [{ code: 'UP_TO_DATE' }] })
    current.registry.setOnline(false)
    current.clock.advance(60_000)
    await expect(current.engine.update(d1, { reference: `${repository}:3.0.0` })).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' })
  })

  test('by tag takes what the tag points at now, by digest exactly that, and never an older one', async () => {
    const { release, engine, unit, options } = scene()
    release('1.1.0', { filler: '1.1.0\na' })
    const { manifest } = release('1.2.0')
    expect(await engine.update(d1, { reference: `${repository}:1.1.0` })).toMatchObject({ version: '1.1.0', outcome: 'confirmed' })
    await expect(engine.update(d1, { reference: `${repository}:1.1.0` })).rejects.toMatchObject({
      because: [{ code: 'ALREADY_INSTALLED' }],
    })
    const second = memoryDevice({ id: 'd2', runs: image('board', '1.0.0') })
    release('1.1.0', { filler: '1.1.0\nb' })
    const both = createEngine({ ...options, transports: [memoryTransport([unit, second])] }, engine.composition)
    expect(await both.update({ id: 'd2' }, { reference: `${repository}:1.1.0` })).toMatchObject({ outcome: 'confirmed' })
    expect(new TextDecoder().decode(second.running)).toBe('board board\n1.1.0\nb')
    expect(await engine.update(d1, { reference: `${repository}@${manifest.digest}` })).toMatchObject({
      version: '1.2.0',
      outcome: 'confirmed',
    })
    await expect(engine.update(d1, { reference: `${repository}:1.1.0` })).rejects.toMatchObject({ because: [{ code: 'DOWNGRADE' }] })
    for (const reference of [repository, 'nonsense']) {
      await expect(engine.update(d1, { reference })).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    }
    expect(version(unit)).toBe('1.2.0')
  })

  test('takes a device without any image', async () => {
    const { release, engine, unit } = scene({ runs: undefined as never })
    release('1.1.0')
    expect(await engine.update({ id: 'd1' })).toMatchObject({ outcome: 'confirmed' })
    expect(version(unit)).toBe('1.1.0')
  })
})

describe('a push that was cut short', () => {
  test('at any word between engine and device, or at its answer, goes on where it was, and ends confirmed once', async () => {
    const walk = async (cutAt: number, when: 'before' | 'after' = 'before'): Promise<number> => {
      const from = scene()
      from.release('1.1.0', { filler: `1.1.0\n${'x'.repeat(60)}` })
      from.unit.breakLine(cutAt, when)
      const first = await from.engine.update(d1).catch((error: unknown) => error)
      if (isOtaError(first)) {
        expect(first.code).toBe('DEVICE_SILENT')
        const again = createEngine(from.options)
        expect(await again.update(d1), `cut at ${cutAt}`).toMatchObject({ seq: 1, outcome: 'confirmed' })
      }
      expect(version(from.unit)).toBe('1.1.0')
      expect(
        from.outcomes().filter((line) => line === '1 confirm passed'),
        `cut at ${cutAt}`,
      ).toHaveLength(1)
      // Each chunk was written once: what the device had already was not sent again.
      const writes = from.unit.calls.filter((call) => call.startsWith('write'))
      expect(new Set(writes).size, `cut at ${cutAt}`).toBe(writes.length)
      return from.unit.calls.length
    }
    const calls = await walk(Number.POSITIVE_INFINITY)
    expect(calls).toBeGreaterThan(9)
    for (let cutAt = 1; cutAt <= calls; cutAt++) {
      await walk(cutAt)
      await walk(cutAt, 'after')
    }
  })

  test('before any write of the journal goes on where it was, and ends confirmed once', async () => {
    const walk = async (cutAt: number): Promise<number> => {
      const from = scene()
      from.release('1.1.0')
      const { journal, writes } = watchedJournal(from.options.journal, (_, write) => {
        if (write === cutAt) crash()
      })
      const pushing = () => createEngine({ ...from.options, journal }).update(d1)
      const end = await pushing().catch((error: unknown) => {
        expect(error, `cut at ${cutAt}`).toMatchObject({ code: 'JOURNAL_UNAVAILABLE' })
        return pushing()
      })
      expect(end, `cut at ${cutAt}`).toMatchObject({ seq: 1, outcome: 'confirmed' })
      expect(
        from.outcomes().filter((line) => line === '1 confirm passed'),
        `cut at ${cutAt}`,
      ).toHaveLength(1)
      return writes()
    }
    const writes = await walk(0)
    expect(writes).toBeGreaterThan(3)
    for (let cutAt = 1; cutAt <= writes; cutAt++) await walk(cutAt)
  })

  test('after bytes were read back, and before they were switched to, is installed by the next', async () => {
    let installs = 0
    const target = targetWith((good) => ({
      async deliver(plan, held, port, context) {
        await good.deliver(plan, held, port, context)
        return { by: 'read-back', digest: held.descriptor.digest, size: held.descriptor.size, crc32: held.crc32 }
      },
      async install(plan, port, context) {
        installs += 1
        if (installs === 1) throw new OtaError('CABLE', 'unavailable', 'expected a cable, found none')
        return good.install(plan, port, context)
      },
    }))
    const { release, engine, unit } = scene({}, { targets: [target] })
    release('1.1.0')
    await expect(engine.update(d1)).rejects.toMatchObject({ code: 'CABLE' })
    expect(version(unit)).toBe('1.0.0')
    expect(await engine.update(d1)).toMatchObject({ seq: 1, outcome: 'confirmed' })
    expect(installs).toBe(2)
  })

  test('is finished before anything newer, once it has begun', async () => {
    const { release, engine, unit, clock } = scene()
    release('1.1.0')
    unit.breakLine(8)
    await expect(engine.update(d1)).rejects.toMatchObject({ code: 'DEVICE_SILENT' })
    expect(unit.calls).toContain('activate')
    release('1.2.0')
    clock.advance(60_000)
    expect(await engine.update({ id: 'd1' })).toMatchObject({ seq: 1, version: '1.1.0', outcome: 'confirmed' })
    expect(await engine.update({ id: 'd1' })).toMatchObject({ seq: 2, version: '1.2.0', outcome: 'confirmed' })
  })

  test('gives way to what is asked for by name, as long as nothing was switched', async () => {
    const { release, engine, unit, outcomes } = scene()
    release('1.1.0')
    release('1.2.0')
    unit.breakLine(3)
    await expect(engine.update(d1, { reference: `${repository}:1.1.0` })).rejects.toMatchObject({ code: 'DEVICE_SILENT' })
    expect(await engine.update(d1, { reference: `${repository}:1.2.0` })).toMatchObject({ seq: 2, version: '1.2.0', outcome: 'confirmed' })
    expect(outcomes()).toContain('1 plan superseded')
  })

  test('is not gone on with where the device got something newer meanwhile', async () => {
    const { release, engine, unit, options } = scene()
    release('1.1.0')
    unit.breakLine(3)
    await expect(engine.update(d1, { reference: `${repository}:1.1.0` })).rejects.toMatchObject({ code: 'DEVICE_SILENT' })
    const flashed = memoryDevice({ id: 'd1', runs: image('board', '2.0.0') })
    const again = createEngine({ ...options, transports: [memoryTransport([flashed])] })
    await expect(again.update(d1, { reference: `${repository}:1.1.0` })).rejects.toMatchObject({ because: [{ code: 'DOWNGRADE' }] })
    expect(flashed.calls).toEqual(['status', 'dispose'])
  })

  test('and no longer verifies is not gone on with: not begun it waits, begun it ends', async () => {
    for (const [cutAt, end, code] of [
      [3, '1 plan passed', 'SIGNATURE_REFUSED/SIGNATURE_NOT_FOUND'],
      [8, '1 confirm failed', 'PENDING_CONFIRMATION'],
    ] as const) {
      const { release, unit, options, signed, outcomes } = scene()
      const { manifest } = release('1.1.0')
      unit.breakLine(cutAt)
      await expect(createEngine(options).update(d1)).rejects.toMatchObject({ code: 'DEVICE_SILENT' })
      signed.delete(manifest.digest)
      await expect(createEngine(options).update(d1)).rejects.toMatchObject({ code: 'PLAN_REFUSED', because: [{ code }] })
      expect(outcomes().at(-1)).toBe(end)
      expect(unit.calls.filter((call) => call === 'activate')).toHaveLength(cutAt === 3 ? 0 : 1)
    }
  })
})

/** The memory target, whose device answers so many looks after its `activate` as the old firmware, before it restarts. */
function restartingLate(looks: number, { digest }: { readonly digest: Digest }) {
  let left = looks
  return targetWith((good) => ({
    confirm(plan, port, context) {
      left -= 1
      const installed = { version: '1.0.0', digest, state: 'confirmed' as const }
      return good.confirm(plan, left < 0 ? port : { ...port, status: async () => ({ id: 'd1', model: 'board', installed }) }, context)
    },
  }))
}

describe('a device that the old firmware still answers for after `activate`', () => {
  const digest = digestOf(image('board', '1.0.0'))

  test('is waited for until it has restarted, and its update is confirmed', async () => {
    const { release, engine, unit } = scene({}, { targets: [restartingLate(3, { digest })] })
    release('1.1.0')
    expect(await engine.update(d1)).toMatchObject({ outcome: 'confirmed' })
    expect(unit.calls).not.toContain('rollback')
  })

  test('keeps its update open where the push stops waiting, and the next one confirms it', async () => {
    const { release, engine } = scene({}, { targets: [restartingLate(1, { digest })], policy: { confirmWithinMs: 0 } })
    release('1.1.0')
    expect(await engine.update(d1)).toMatchObject({ seq: 1, outcome: 'waiting', because: [{ code: 'NOT_BOOTED' }] })
    expect(await engine.update(d1)).toMatchObject({ seq: 1, outcome: 'confirmed' })
  })

  test('has gone back once its boot grace is over, also where the clock was set back meanwhile', async () => {
    const { release, engine, clock } = scene({}, { targets: [restartingLate(9, { digest })], policy: { confirmWithinMs: 0 } })
    release('1.1.0')
    const again = async () => engine.update(d1)
    expect(await again()).toMatchObject({ outcome: 'waiting' })
    clock.advance(-86_400_000)
    expect(await again()).toMatchObject({ outcome: 'waiting' })
    clock.advance(599_999)
    expect(await again()).toMatchObject({ outcome: 'waiting' })
    clock.advance(1)
    expect(await again()).toMatchObject({ seq: 1, outcome: 'failed', because: [{ code: 'ROLLED_BACK' }, { code: 'ROLLED_BACK' }] })
  })

  test('has gone back at once where the new image was seen to run before', async () => {
    let looks = 0
    const target = targetWith((good) => ({
      async confirm(plan, port, context) {
        looks += 1
        if (looks === 2) await (port as MemoryAgentPort).rollback()
        return good.confirm(plan, port, context)
      },
    }))
    const { release, engine } = scene({ selfTest: 'hangs' }, { targets: [target] })
    release('1.1.0')
    expect(await engine.update(d1)).toMatchObject({ outcome: 'failed', because: [{ code: 'ROLLED_BACK' }, {}] })
    expect(looks).toBe(2)
  })
})

describe('an image that does not prove good', () => {
  test('is gone back from, tried again, and then left alone', async () => {
    const { release, engine, unit, outcomes } = scene({ selfTest: 'fails' }, { policy: { bootGraceMs: 0 } })
    release('1.1.0')
    for (const seq of [1, 2, 3]) {
      const { outcome, because } = await engine.update(d1)
      expect(outcome).toBe('failed')
      expect(because.map(({ code }) => code)).toEqual(['ROLLED_BACK', 'ROLLED_BACK'])
      expect(outcomes()).toContain(`${seq} rollback passed`)
      expect(version(unit)).toBe('1.0.0')
    }
    await expect(engine.update(d1)).rejects.toMatchObject({ because: [{ code: 'ATTEMPTS_EXHAUSTED' }] })
  })

  test('is gone back from before its end is written: a crash in between goes back again', async () => {
    const from = scene({ selfTest: 'fails' }, { policy: { bootGraceMs: 0 } })
    from.release('1.1.0')
    let rollbacks = 0
    const target = targetWith((good) => ({
      async rollback(...args) {
        rollbacks += 1
        await good.rollback?.(...args)
      },
    }))
    let cut = true
    const { journal } = watchedJournal(from.options.journal, () => {
      if (cut && rollbacks === 1) crash()
    })
    const pushing = () => createEngine({ ...from.options, targets: [target], journal }).update(d1)
    await expect(pushing()).rejects.toMatchObject({ code: 'JOURNAL_UNAVAILABLE' })
    cut = false
    expect(await pushing()).toMatchObject({ seq: 1, outcome: 'failed' })
    expect(rollbacks).toBe(2)
  })

  test('and cannot be gone back from is told as both', async () => {
    const rollback = () => Promise.reject(new OtaError('CABLE', 'unavailable', 'cable'))
    const { release, engine, outcomes } = scene(
      { selfTest: 'fails' },
      { policy: { bootGraceMs: 0 }, targets: [targetWith(() => ({ rollback }))] },
    )
    release('1.1.0')
    const { outcome, because } = await engine.update(d1)
    expect([outcome, ...because.map(({ code }) => code)]).toEqual(['failed', 'ROLLED_BACK', 'ROLLBACK_FAILED'])
    expect(outcomes()).toContain('1 rollback failed')
  })

  test('and never says a word is waited for only so long, and looked at again by the next push', async () => {
    const { release, engine, unit } = scene({ selfTest: 'hangs' }, { policy: { confirmWithinMs: 30 } })
    release('1.1.0')
    for (let round = 0; round < 2; round++) {
      expect(await engine.update(d1)).toMatchObject({ seq: 1, outcome: 'waiting', because: [{ code: 'NOT_CONFIRMED' }] })
    }
    expect(unit.calls.filter((call) => call === 'begin' || call === 'activate')).toEqual(['begin', 'activate'])
    expect(unit.calls.filter((call) => call === 'status').length).toBeLessThan(40)
  })

  test('is waited for though the clock stands still', async () => {
    const { release, engine } = scene({ selfTest: 'hangs' }, { policy: { confirmWithinMs: 0 } })
    release('1.1.0')
    expect(await engine.update(d1)).toMatchObject({ outcome: 'waiting' })
  })
})

describe('a driver', () => {
  const waiting: Observation = { by: 'report', report: { state: 'downloading' } }

  test('that has not delivered yet is not told to install', async () => {
    const { release, engine, unit } = scene({}, { targets: [targetWith(() => ({ deliver: async () => waiting }))] })
    release('1.1.0')
    expect(await engine.update(d1)).toMatchObject({ outcome: 'waiting', because: [{ code: 'DOWNLOADING' }] })
    expect(unit.calls).not.toContain('activate')
  })

  test('that delivers and installs at once is not told to install again', async () => {
    const target = targetWith((good) => ({
      async deliver(plan, held, port, context) {
        await good.deliver(plan, held, port, context)
        return good.install(plan, port, context)
      },
    }))
    const { release, engine, unit } = scene({}, { targets: [target] })
    release('1.1.0')
    expect(await engine.update(d1)).toMatchObject({ outcome: 'confirmed' })
    expect(unit.calls.filter((call) => call === 'activate')).toHaveLength(1)
  })

  test('that writes something else is found out by what was read back', async () => {
    const deliver = async (): Promise<Observation> => ({ by: 'read-back', digest: `sha256:${'0'.repeat(64)}`, size: 5 })
    const { release, engine, unit, outcomes } = scene({}, { targets: [targetWith(() => ({ deliver }))] })
    release('1.1.0')
    const { outcome, because } = await engine.update(d1)
    expect([outcome, ...because.map(({ code }) => code)]).toEqual(['failed', 'SIZE_MISMATCH', 'DIGEST_MISMATCH'])
    expect(outcomes().at(-1)).toBe('1 deliver failed')
    expect(unit.calls).not.toContain('rollback')
  })

  test('that gives up before the switch ends the update, and after it goes back first', async () => {
    const refuse = () => Promise.reject(new OtaError('SLOT', 'rejected', 'expected a slot, found none'))
    for (const [change, rolledBack, end] of [
      [{ deliver: refuse }, false, '1 deliver failed'],
      [{ install: refuse }, true, '1 install failed'],
    ] as const) {
      const { release, engine, unit, outcomes } = scene({}, { targets: [targetWith(() => change)] })
      release('1.1.0')
      await expect(engine.update(d1)).rejects.toMatchObject({ code: 'SLOT' })
      expect(unit.calls.includes('rollback')).toBe(rolledBack)
      expect(outcomes().at(-1)).toBe(end)
    }
  })

  test('that breaks is named as such, and the update stays open', async () => {
    for (const install of [
      () => Promise.reject(new TypeError('x')),
      async () => undefined as never,
      async () => ({ by: 'rumour' }) as never,
    ]) {
      const { release, engine, options } = scene({}, { targets: [targetWith(() => ({ install }))] })
      release('1.1.0')
      await expect(engine.update(d1)).rejects.toMatchObject({ code: 'BROKEN_PLUGIN', fault: 'internal' })
      expect(await createEngine({ ...options, targets: [memoryTarget()] }).update(d1)).toMatchObject({ seq: 1, outcome: 'confirmed' })
    }
  })

  test('that is told to stop after its time is DEVICE_SILENT', async () => {
    const target = targetWith(() => ({
      deliver: (_, __, ___, { signal }) =>
        new Promise<never>((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(new OtaError('ABORTED', 'aborted', 'stopped'))),
        ),
    }))
    const { release, engine } = scene({}, { targets: [target], stageMs: 20 })
    release('1.1.0')
    await expect(engine.update(d1)).rejects.toMatchObject({ code: 'DEVICE_SILENT', fault: 'unavailable' })
  })
})

describe('an abort', () => {
  test('before the commit point ends the push, which can go on later', async () => {
    const { release, unit, options } = scene()
    release('1.1.0', { filler: `1.1.0\n${'x'.repeat(200)}` })
    const caller = new AbortController()
    const target = targetWith((good) => ({
      deliver: (plan, held, port, context) =>
        good.deliver(
          plan,
          held,
          {
            ...port,
            write: async (...args) => {
              await port.write(...args)
              if (args[0] >= 64) caller.abort()
            },
            [Symbol.asyncDispose]: async () => {},
          },
          context,
        ),
    }))
    const aborted = createEngine({ ...options, targets: [target] }).update(d1, { signal: caller.signal })
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED', fault: 'aborted' })
    expect(unit.calls.filter((call) => call.startsWith('write')).length).toBeLessThan(8)
    expect(await createEngine(options).update(d1)).toMatchObject({ seq: 1, outcome: 'confirmed' })
  })

  test('at the commit point is waited out: what the driver did is recorded before the push ends', async () => {
    const caller = new AbortController()
    const target = targetWith((good) => ({
      async install(plan, port, context) {
        caller.abort()
        await new Promise(setImmediate)
        return good.install(plan, port, context)
      },
    }))
    const { release, engine, outcomes, unit } = scene({}, { targets: [target] })
    release('1.1.0')
    await expect(engine.update(d1, { signal: caller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(outcomes()).toContain('1 install passed')
    expect(unit.calls.at(-1)).toBe('dispose')
    expect(await engine.update(d1)).toMatchObject({ seq: 1, outcome: 'confirmed' })
  })

  test('while a device is waited for ends at once', async () => {
    const caller = new AbortController()
    const { release, engine } = scene({ selfTest: 'hangs' }, { lookAgainMs: 60_000 })
    release('1.1.0')
    const pushing = engine.update(d1, { signal: caller.signal })
    setTimeout(() => caller.abort(), 20)
    await expect(pushing).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(engine.update(d1, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('the device at the other end', () => {
  const transportTo = (change: (good: Connection<'agent'>) => Connection<'agent'>): Transport => {
    const good = memoryTransport([memoryDevice({ id: 'd1', runs: image('board', '1.0.0') })])
    return { ...good, connect: async (...args) => change((await good.connect?.(...args)) as Connection<'agent'>) } as Transport
  }

  test.each<[string, (good: Connection<'agent'>) => Connection<'agent'>]>([
    ['by its principal', (good) => ({ ...good, principal: principal('d2') })],
    ['by its port', (good) => ({ ...good, port: { ...good.port, deviceId: 'd2' } })],
    ['by its own word', (good) => ({ ...good, port: { ...good.port, status: async () => ({ id: 'd2' }) } })],
  ])('is refused where it is another one %s, before anything is written', async (_, change) => {
    const { release, options } = scene()
    release('1.1.0')
    const engine = createEngine({ ...options, transports: [transportTo(change)] })
    await expect(engine.update(d1)).rejects.toMatchObject({ code: 'WRONG_DEVICE', fault: 'rejected' })
    expect(await options.journal.get('device/d1')).toBeUndefined()
  })

  test('is refused where it is of another model than it was said to be', async () => {
    const { release, engine, unit } = scene()
    release('1.1.0', { model: 'board2' })
    await expect(engine.update({ id: 'd1', model: 'board2' })).rejects.toMatchObject({
      code: 'PLAN_REFUSED',
      because: [{ code: 'WRONG_MODEL' }],
    })
    expect(unit.calls).toEqual(['status', 'dispose'])
  })

  test('is pushed to by one at a time', async () => {
    const { release, engine, options } = scene({ selfTest: 'hangs' }, { policy: { confirmWithinMs: 50 } })
    release('1.1.0')
    const second = createEngine(options, engine.composition)
    const pushing = engine.update(d1)
    for (const other of [engine, second])
      await expect(other.update(d1)).rejects.toMatchObject({ code: 'DEVICE_BUSY', fault: 'unavailable' })
    await pushing
    expect(await second.update(d1)).toMatchObject({ outcome: 'waiting' })
  })

  test('is given one update by two servers that push to it at once', async () => {
    const { release, options, outcomes } = scene()
    release('1.1.0')
    const engines = [createEngine(options), createEngine({ ...options, cache: memoryCache() })]
    const ends = await Promise.allSettled(engines.map((engine) => engine.update(d1)))
    expect(ends.some(({ status }) => status === 'fulfilled')).toBe(true)
    for (const end of ends) if (end.status === 'rejected') expect(isOtaError(end.reason)).toBe(true)
    expect(outcomes().filter((line) => line.endsWith('plan passed'))).toEqual(['1 plan passed'])
  })

  test('may have been offered the same release by a gateway: the push goes on with it', async () => {
    const { release, engine, options, outcomes } = scene()
    release('1.1.0')
    const gateway = createGateway(options)
    await gateway.read(principal('d1'), 'current')
    expect(await engine.update(d1)).toMatchObject({ seq: 1, outcome: 'confirmed' })
    await gateway.sent(principal('d1'), 'current')
    expect(outcomes().at(-1)).toBe('1 confirm passed')
  })

  test('is left though its connection does not end well', async () => {
    const fails = transportTo((good) => ({
      ...good,
      [Symbol.asyncDispose]: () => Promise.reject(new OtaError('CABLE', 'unavailable', 'cable')),
    }))
    const { release, options } = scene()
    release('1.1.0')
    const engine = createEngine({ ...options, transports: [fails] })
    expect(await engine.update(d1)).toMatchObject({ outcome: 'confirmed' })
    await expect(engine.update({ id: 'd9' })).rejects.toMatchObject({ code: 'DEVICE_SILENT' })
    await expect(engine.update({ id: '../d1' })).rejects.toMatchObject({ code: 'INVALID_STATE' })
  })
})

describe('an engine', () => {
  test('needs a transport that its target can be driven over', async () => {
    const { release, options } = scene()
    release('1.1.0')
    const pull: Transport = { kind: 'transport', name: 'http', spec: 0 }
    await expect(createEngine({ ...options, transports: [pull] }).update(d1)).rejects.toMatchObject({
      code: 'TRANSPORT_UNSUPPORTED',
      fault: 'unsupported',
      message: expect.stringMatching(/\(agent\).*http \(pull only\)/) as string,
    })
    const { drive: _, ...undriven } = memoryTarget()
    const engine = createEngine({ ...options, targets: [undriven] })
    await expect(engine.update(d1)).rejects.toMatchObject({
      code: 'TRANSPORT_UNSUPPORTED',
      message: expect.stringContaining('its devices pull') as string,
    })
  })

  test('takes the first transport that fits', async () => {
    const { release, options, unit } = scene()
    release('1.1.0')
    const pull: Transport = {
      kind: 'transport',
      name: 'http',
      spec: 0,
      uses: 'flash',
      connect: () => Promise.reject(new Error('not this one')),
    }
    expect(await createEngine({ ...options, transports: [pull, memoryTransport([unit])] }).update(d1)).toMatchObject({
      outcome: 'confirmed',
    })
  })

  test('refuses times that are none', () => {
    const { options } = scene()
    for (const wrong of [{ lookAgainMs: 0 }, { stageMs: Number.NaN }, { stageMs: 1e12 }]) {
      expect(() => createEngine({ ...options, ...wrong })).toThrow(expect.objectContaining({ code: 'INVALID_COMPOSITION' }))
    }
  })

  test('names and closes its transports with the rest', async () => {
    const closed: string[] = []
    const from = world()
    const transport = { ...memoryTransport([]), opens: 'nothing at all', close: async () => void closed.push('transport') }
    const engine = createEngine({ ...from.composition, transports: [transport] })
    expect(from.events[0]).toMatchObject({
      type: 'composed',
      plugins: expect.arrayContaining([{ kind: 'transport', name: 'memory' }]) as unknown,
    })
    expect(engine.composition.opens).toContain('memory: nothing at all')
    await engine.composition.close()
    expect(closed).toEqual(['transport'])
  })
})
