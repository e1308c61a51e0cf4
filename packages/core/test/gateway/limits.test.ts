import { getEventListeners } from 'node:events'
import { createGateway, type DeviceState, OtaError, type Principal } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { principal, world } from '../composition.ts'
import { at, d1, gatewayOf, recordIn, watchedJournal } from './pull.ts'

describe('what a device says of itself', () => {
  const cyclic: Record<string, unknown> = {}
  cyclic.self = cyclic
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1]))

  test.each<[string, unknown]>([
    ['a model that is no text', { model: 5 }],
    ['a model with a slash', { model: 'a/b' }],
    ['an endless model', { model: 'x'.repeat(65) }],
    ['nothing as what is installed', { installed: null }],
    ['an installed version that is no text', { installed: { version: 5 } }],
    ['an empty version', { installed: { version: '' } }],
    ['an endless version', { installed: { version: 'x'.repeat(257) } }],
    ['a digest that is none', { installed: { version: '1.0.0', digest: 'sha256:abc' } }],
    ['a digest that cannot become text', { installed: { version: '1.0.0', digest: { toString: 'x' } } }],
    ['a state that nobody knows', { installed: { version: '1.0.0', state: 'fine' } }],
    ['a list of attributes', { attributes: [] }],
    ['no attributes', { attributes: null }],
    ['too many attributes', { attributes: many(101) }],
    ['an endless key', { attributes: { ['k'.repeat(129)]: 1 } }],
    ['endless attributes', { attributes: { k: 'x'.repeat(40_000) } }],
    ['an attribute that is no JSON', { attributes: { k: undefined } }],
    ['an attribute that is a number without an end', { attributes: { k: 5n } }],
    ['an attribute that holds itself', { attributes: cyclic }],
  ])('is refused where it is %s', async (_, said) => {
    const { release, composition } = world()
    release('1.1.0')
    const checkIn = gatewayOf(composition).checkIn(d1, said as Partial<DeviceState>)
    await expect(checkIn).rejects.toMatchObject({ code: 'INVALID_STATE', fault: 'invalid' })
  })

  test('is kept as far as it may be said: labels and unknown words are not its own', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const said = { ...at('1.0.0'), labels: { ring: 'trusted' }, id: 'd2', admin: true, attributes: { slots: 2, ['__proto__']: 1 } }
    await gatewayOf(composition).checkIn(d1, said)
    const { open } = await recordIn(composition.journal)
    const attributes = JSON.parse('{"slots":2,"__proto__":1}') as object
    expect(open.device).toEqual({ model: 'board', installed: { version: '1.0.0', state: 'confirmed' }, attributes })
  })

  test('is evidence only up to a limit', async () => {
    const gateway = gatewayOf(world().composition)
    for (const evidence of [
      { mediaType: 'a/b', body: new Uint8Array(65_537) },
      { mediaType: 'x'.repeat(129), body: new Uint8Array() },
      { mediaType: 'a/b', body: 'text' as never },
    ]) {
      await expect(gateway.checkIn(d1, {}, evidence)).rejects.toMatchObject({ code: 'INVALID_STATE' })
    }
  })

  test('cannot be said under an id that would be another key', async () => {
    const gateway = gatewayOf(world().composition)
    for (const deviceId of ['', '../d1', 'a/b', 'ä', 'x'.repeat(129), 5 as never]) {
      const who: Principal = { deviceId, by: 'mtls' }
      const invalid = { code: 'INVALID_STATE' }
      await expect(gateway.checkIn(who)).rejects.toMatchObject(invalid)
      await expect(gateway.report(who, 1, { state: 'failed' })).rejects.toMatchObject(invalid)
      await expect(gateway.read(who, 1)).rejects.toMatchObject(invalid)
      await expect(gateway.head(who, 'current')).rejects.toMatchObject(invalid)
      await expect(gateway.sent(who, 'current')).rejects.toMatchObject(invalid)
      await expect(gateway.attributes(who, {}, 'merge')).rejects.toMatchObject(invalid)
    }
  })
})

describe('attributes', () => {
  test('are merged, replaced and removed, written only where they change, and known at the next check-in', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const { journal, writes } = watchedJournal(composition.journal)
    const gateway = gatewayOf({ ...composition, journal })
    const stored = async () => (await recordIn(journal)).attributes
    await gateway.attributes(d1, { a: 1, b: [2] }, 'merge')
    await gateway.attributes(d1, { b: 3, c: null }, 'merge')
    expect(await stored()).toEqual({ a: 1, b: 3, c: null })
    const before = writes()
    await gateway.attributes(d1, { b: 3 }, 'merge')
    await gateway.attributes(d1, { z: 1 }, 'remove')
    expect(writes()).toBe(before)
    await gateway.attributes(d1, { a: 0 }, 'remove')
    expect(await stored()).toEqual({ b: 3, c: null })
    await gateway.attributes(d1, { only: true }, 'replace')
    expect(await stored()).toEqual({ only: true })
    const full = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, 1]))
    await expect(gateway.attributes(d1, full, 'merge')).rejects.toMatchObject({ code: 'INVALID_STATE' })
    await gateway.checkIn(d1, at('1.0.0'))
    expect((await recordIn(journal)).open.device).toMatchObject({ attributes: { only: true } })
  })
})

describe('an idle fleet', () => {
  test('costs one read of the journal per check-in, no write, and no question to the registry', async () => {
    const { release, composition, registry } = world()
    release('1.1.0')
    let reads = 0
    const { journal, writes } = watchedJournal({
      ...composition.journal,
      get: async (...args) => {
        reads += 1
        return composition.journal.get(...args)
      },
    })
    const gateway = gatewayOf({ ...composition, journal })
    await gateway.checkIn(d1, at('1.1.0'))
    const [readsBefore, writesBefore, callsBefore] = [reads, writes(), registry.calls.length]
    for (let device = 0; device < 200; device++) await gateway.checkIn(principal(`d${device}`), at('1.1.0'))
    expect([reads - readsBefore, writes() - writesBefore, registry.calls.length - callsBefore]).toEqual([200, 0, 0])
  })

  test('gets an answer that nobody can spoil for the next', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const gateway = createGateway(composition)
    const { because } = await gateway.checkIn(d1, at('1.1.0'))
    expect(() => (because as unknown[]).push('x')).toThrow(TypeError)
    expect(() => Object.assign(because[0] ?? {}, { code: 'X' })).toThrow(TypeError)
  })

  test('leaves no listener on a signal that lives as long as the server', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    const gateway = gatewayOf(composition)
    const { signal } = new AbortController()
    for (let poll = 0; poll < 30; poll++) {
      release(`1.${poll + 2}.0`)
      clock.advance(10_000)
      await gateway.checkIn(principal(`d${poll}`), at('1.0.0'), undefined, { signal })
    }
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('is left at once by a device that goes away, and nothing is written for it', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const { journal, writes } = watchedJournal(composition.journal)
    const gateway = gatewayOf({ ...composition, journal })
    await expect(gateway.checkIn(d1, at('1.0.0'), undefined, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(gateway.head(d1, 'current', undefined, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(writes()).toBe(0)
  })
})

describe('health', () => {
  test('tells registry, cache and journal apart', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const gateway = createGateway(composition)
    expect(await gateway.health()).toEqual({
      status: 'ok',
      parts: { registry: { status: 'unknown' }, cache: { status: 'unknown' }, journal: { status: 'ok' } },
    })
    await gateway.checkIn(d1, at('1.0.0'))
    expect((await gateway.health()).parts).toEqual({ registry: { status: 'ok' }, cache: { status: 'ok' }, journal: { status: 'ok' } })
    const down = { ...composition.journal, get: () => Promise.reject(new OtaError('JOURNAL_UNAVAILABLE', 'unavailable', 'disk')) }
    const full = { ...composition.cache, hold: () => Promise.reject(new OtaError('CACHE_FULL', 'unavailable', 'full')) }
    expect(await createGateway({ ...composition, journal: down }).health()).toMatchObject({
      status: 'degraded',
      parts: { journal: { status: 'down', reason: 'JOURNAL_UNAVAILABLE: disk' } },
    })
    const second = createGateway({ ...composition, cache: full })
    await second.checkIn(d1, at('1.0.0')).catch(() => undefined)
    await second.checkIn(principal('d2'), at('1.0.0')).catch(() => undefined)
    expect((await second.health()).parts.cache).toEqual({ status: 'down', reason: 'CACHE_FULL: full' })
    await expect(createGateway(composition).health({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

test('a title from the registry is reduced to a harmless file name', async () => {
  const { composition, registry, signed } = world()
  const titles = ['../../etc/passwd', 'a"b\r\nX: 1', 'ü'.repeat(300), '..', 'C:\\fw\\app.bin', 'line\n/x.bin', '']
  const names: string[] = []
  for (const [index, title] of titles.entries()) {
    const content = [
      { content: new TextEncoder().encode(`board board\n${index}`), annotations: { 'org.opencontainers.image.title': title } },
    ]
    const { manifest } = registry.addArtifact('registry.test/fw/board', { content, tag: `1.${index}.0`, version: `1.${index}.0` })
    signed.add(manifest.digest)
    const gateway = gatewayOf(composition)
    const { offer } = await gateway.checkIn(principal(`d${index}`), at('0.9.0'))
    names.push(offer?.components[0]?.representations[0]?.fileName ?? 'none')
  }
  for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,127}$/)
  expect(names).toEqual(expect.arrayContaining(['passwd', 'app.bin', 'x.bin', 'image.bin']))
})
