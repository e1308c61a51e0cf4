import { createGateway, trustTagVersions } from '@reflash/core'
import { memoryTarget } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, repository, world } from './composition.ts'

const d1 = principal('d1')
const at = (version: string, more: object = {}) => ({ model: 'board', installed: { version, state: 'confirmed' as const, ...more } })

describe('a device that pulls', () => {
  test('is offered the highest verified version, reports, and is confirmed at its next check-in', async () => {
    const { release, composition, events } = world()
    release('1.0.0')
    const { layers } = release('v1.1.0', { claims: '1.1.0' })
    const gateway = createGateway(composition)
    const { offer, because } = await gateway.checkIn(d1, at('1.0.0'))
    expect(offer).toMatchObject({ seq: 1, version: '1.1.0', components: [{ yields: layers[0]?.digest }] })
    expect(because[0]?.code).toBe('NEWER_VERSION')
    for (const state of ['downloading', 'downloaded', 'installing', 'installed'] as const) await gateway.report(d1, 1, { state })
    expect(await gateway.checkIn(d1, at('1.1.0', { state: 'pending' }))).toMatchObject({ because: [{ code: 'NOT_CONFIRMED' }] })
    const done = await gateway.checkIn(d1, at('1.1.0'))
    expect(done.offer).toBeUndefined()
    expect(done.because[0]?.code).toBe('UP_TO_DATE')
    expect(events.filter((event) => event.type === 'device' && event.stage === 'confirm' && event.status === 'passed')).toHaveLength(1)
  })

  test('gets the same offer again, and the whole journey survives a restart with the registry down', async () => {
    const { release, composition, registry } = world()
    release('1.1.0')
    const first = createGateway(composition)
    const { offer } = await first.checkIn(d1, at('1.0.0'))
    await first.report(d1, 1, { state: 'downloaded' })
    registry.setOnline(false)
    const second = createGateway(composition)
    expect((await second.checkIn(d1, at('1.0.0'))).offer).toEqual(offer)
    await second.report(d1, 1, { state: 'installed' })
    await second.report(d1, 1, { state: 'confirmed' })
    // A report that is repeated because its answer was lost is answered again.
    await second.report(d1, 1, { state: 'confirmed' })
    expect((await second.checkIn(d1, at('1.1.0'))).because[0]?.code).toBe('UP_TO_DATE')
    expect((await second.checkIn(principal('other'), at('1.0.0'))).offer?.version).toBe('1.1.0')
    expect((await second.health()).parts.registry?.status).toBe('stale')
  })

  test('is not offered an image for ever that fails on it', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    const gateway = createGateway(composition)
    for (const seq of [1, 2, 3]) {
      expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.seq).toBe(seq)
      await gateway.report(d1, seq, { state: 'failed', code: 'FLASH', messages: ['worn out'] })
    }
    expect(await gateway.checkIn(d1, at('1.0.0'))).toMatchObject({ because: [{ code: 'ATTEMPTS_EXHAUSTED' }] })
    release('1.2.0')
    clock.advance(10_000)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.2.0')
  })

  test('that says installed and then shows its old version is waited for, and then failed', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    const gateway = createGateway(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    await gateway.report(d1, 1, { state: 'installed' })
    expect(await gateway.checkIn(d1, at('1.0.0'))).toMatchObject({ because: [{ code: 'NOT_BOOTED' }] })
    clock.advance(600_000)
    const { offer } = await gateway.checkIn(d1, at('1.0.0'))
    expect(offer?.seq).toBe(2)
  })

  test('reads exactly what it was offered, and nobody else does', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const gateway = createGateway(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    const { representation, body } = await gateway.read(d1, 1, 'image', { offset: 6, length: 5 })
    expect(new TextDecoder().decode(body as Uint8Array)).toBe('board')
    expect(await gateway.head(d1, 1)).toEqual(representation)
    await expect(gateway.read(d1, 2)).rejects.toMatchObject({ code: 'NO_OFFER' })
    await expect(gateway.read(d1, 1, 'other')).rejects.toMatchObject({ code: 'NO_OFFER' })
    await expect(gateway.read(principal('d2'), 1)).rejects.toMatchObject({ code: 'NO_OFFER' })
    await expect(gateway.report(principal('d2'), 1, { state: 'confirmed' })).rejects.toMatchObject({ code: 'NO_OFFER' })
  })

  test('that never reports ends as unobserved, and gets what it was told', async () => {
    const { release, composition, clock, events, registry } = world()
    release('1.0.0')
    const gateway = createGateway(composition)
    const silent = { reports: false }
    const { offer } = await gateway.checkIn(d1, {}, undefined, silent)
    expect(offer?.version).toBe('1.0.0')
    release('1.1.0')
    clock.advance(60_000)
    const { representation } = await gateway.read(d1, 'current')
    expect(representation.descriptor.digest).toBe(offer?.components[0]?.yields)
    await gateway.sent(d1, 'current')
    await gateway.sent(d1, 'current')
    const ends = events.filter((event) => event.type === 'device' && event.status === 'unobserved')
    expect(ends).toHaveLength(1)
    expect(events.some((event) => event.type === 'device' && event.stage === 'confirm' && event.status === 'passed')).toBe(false)
    expect((await gateway.checkIn(d1, {}, undefined, silent)).offer?.version).toBe('1.1.0')
    expect(registry.calls.length).toBeLessThan(30)
  })
})

describe('an open offer', () => {
  test('gives way to a newer release as long as the device has not begun', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    const gateway = createGateway(composition)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.1.0' })
    release('1.2.0')
    clock.advance(10_000)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 2, version: '1.2.0' })
    await gateway.report(d1, 2, { state: 'downloading' })
    release('1.3.0')
    clock.advance(10_000)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 2, version: '1.2.0' })
  })

  test('is taken back when its release is', async () => {
    const { release, composition, clock, registry } = world()
    release('1.0.0')
    release('1.1.0')
    const gateway = createGateway(composition)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.1.0')
    registry.untag(repository, '1.1.0')
    clock.advance(10_000)
    expect(await gateway.checkIn(d1, at('1.0.0'))).toMatchObject({ because: [{ code: 'UP_TO_DATE' }] })
    await expect(gateway.read(d1, 1)).rejects.toMatchObject({ code: 'OFFER_CLOSED' })
  })

  test('is not replaced by one that the device cannot run', async () => {
    const { release, composition, clock } = world()
    release('1.1.0')
    const gateway = createGateway(composition)
    await gateway.checkIn(d1, at('1.0.0'))
    release('1.2.0', { model: 'other' })
    clock.advance(10_000)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer).toMatchObject({ seq: 1, version: '1.1.0' })
  })

  test('of a device that never reports does not stand in the way after a restart', async () => {
    const { release, composition } = world()
    release('1.1.0')
    const silent = { reports: false }
    const first = createGateway(composition)
    await first.checkIn(d1, {}, undefined, silent)
    await first.read(d1, 'current')
    const second = createGateway(composition)
    expect((await second.checkIn(d1, {}, undefined, silent)).offer?.version).toBe('1.1.0')
    expect((await second.read(d1, 'current')).representation.descriptor.size).toBeGreaterThan(0)
  })

  test('that no longer verifies after a restart ends as failed, with the reason', async () => {
    const { release, composition, signed, events } = world()
    const { manifest } = release('1.1.0')
    await createGateway(composition).checkIn(d1, at('1.0.0'))
    signed.delete(manifest.digest)
    const second = createGateway(composition)
    expect((await second.checkIn(d1, at('1.0.0'))).offer).toBeUndefined()
    expect(events.at(-1)).toMatchObject({ type: 'release', status: 'failed' })
    expect(
      events.some((event) => event.type === 'device' && event.status === 'failed' && event.because[0]?.code === 'SIGNATURE_NOT_FOUND'),
    ).toBe(true)
  })
})

describe('what is not offered', () => {
  const refusedBy = async (change: (from: ReturnType<typeof world>) => void, options = {}) => {
    const from = world(options)
    from.release('1.0.0')
    change(from)
    const { offer, because } = await createGateway(from.composition).checkIn(d1, at('1.0.0'))
    expect(offer).toBeUndefined()
    return because.map(({ code }) => code)
  }

  test('an unsigned release', async () =>
    expect(await refusedBy(({ release }) => release('1.1.0', { unsigned: true }))).toEqual(['SIGNATURE_REFUSED/SIGNATURE_NOT_FOUND']))
  test('a release without a signed version', async () =>
    expect(await refusedBy(({ release }) => release('1.1.0', { claims: null }))).toEqual(['VERSION_NOT_SIGNED']))
  test('an old signed release under a newer tag', async () => {
    expect(await refusedBy(({ release }) => release('9.9.9', { claims: '1.0.0' }))).toEqual(['VERSION_MISMATCH'])
  })
  test('an old release under a newer tag, where tags are trusted', async () => {
    const options = { versions: trustTagVersions() }
    const from = world(options)
    from.release('1.0.0', { claims: null })
    const gateway = createGateway(from.composition)
    expect((await gateway.checkIn(d1, at('0.9.0'))).offer?.version).toBe('1.0.0')
    await gateway.report(d1, 1, { state: 'confirmed' })
    from.release('1.0.0', { claims: null, tag: '9.9.9' })
    from.clock.advance(60_000)
    const { offer, because } = await gateway.checkIn(d1, at('1.0.0'))
    expect(offer).toBeUndefined()
    expect(because[0]?.code).toBe('VERSION_MISMATCH')
  })
  test("another product's signed release", async () => {
    expect(await refusedBy(({ release }) => release('1.1.0', { product: 'toaster' }), { product: 'sensor' })).toEqual(['WRONG_PRODUCT'])
  })
  test('a release for another model', async () =>
    expect(await refusedBy(({ release }) => release('1.1.0', { model: 'other' }))).toEqual(['WRONG_MODEL']))
  test('an image that the target cannot run', async () => {
    expect(
      await refusedBy(({ registry, signed }) => {
        const { manifest } = registry.addArtifact(repository, { content: new TextEncoder().encode('junk'), tag: '1.1.0', version: '1.1.0' })
        signed.add(manifest.digest)
      }),
    ).toEqual(['NOT_AN_IMAGE'])
  })
  test('a flipped image', async () => {
    expect(
      await refusedBy(({ registry, release }) => {
        const digest = release('1.1.0').layers[0]?.digest
        if (digest !== undefined) registry.replace(repository, digest, new TextEncoder().encode('board board\n1.1.1'))
      }),
    ).toEqual(['DIGEST_MISMATCH'])
  })
  test('an older release, and what nobody admitted to the channel', async () => {
    expect(
      await refusedBy(({ release }) => {
        release('0.9.0')
        release('1.1.0-beta.1')
        release('latest', { claims: '7.0.0' })
      }),
    ).toEqual(['UP_TO_DATE'])
  })
  test('a release from below its floor, and the one that leads there is offered instead', async () => {
    const { release, composition } = world()
    release('2.0.0', { from: '>=1.5.0' })
    release('1.6.0')
    const gateway = createGateway(composition)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.6.0')
    expect((await gateway.checkIn(principal('d2'), at('1.6.0'))).offer?.version).toBe('2.0.0')
  })
  test('junk above does not stop the fleet', async () => {
    const { release, composition } = world()
    release('1.1.0')
    release('99.0.0', { unsigned: true })
    expect((await createGateway(composition).checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.1.0')
  })
  test('anything to a device that has not kept its image yet', async () => {
    expect(await refusedBy(({ release }) => release('1.1.0'), {}).catch(() => ['offered'])).toEqual(['offered'])
    const { release, composition } = world()
    release('1.1.0')
    expect((await createGateway(composition).checkIn(d1, at('1.0.0', { state: 'pending' }))).because[0]?.code).toBe('PENDING_CONFIRMATION')
  })
})

describe('the registry', () => {
  test('is asked rarely, and a new tag is seen within ten seconds', async () => {
    const { release, composition, clock, registry } = world()
    release('1.0.0')
    const gateway = createGateway(composition)
    for (let poll = 0; poll < 100; poll++) await gateway.checkIn(principal(`d${poll}`), {}, undefined, { reports: false })
    expect(registry.calls.length).toBeLessThan(10)
    release('1.1.0')
    clock.advance(9_500)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.1.0')
  })

  test('going down serves what is known, and a moved tag is seen when it is back', async () => {
    const { release, composition, clock, registry } = world()
    release('1.1.0', { filler: 'a' })
    const gateway = createGateway(composition)
    expect((await gateway.checkIn(d1, at('1.0.0'))).offer?.version).toBe('1.1.0')
    registry.setOnline(false)
    for (let minute = 0; minute < 5; minute++) {
      clock.advance(60_000)
      expect((await gateway.checkIn(principal(`m${minute}`), at('1.0.0'))).offer?.version).toBe('1.1.0')
    }
    registry.setOnline(true)
    const { layers } = release('1.1.0', { filler: 'b' })
    clock.advance(60_000)
    expect((await gateway.checkIn(principal('late'), at('1.0.0'))).offer?.components[0]?.yields).toBe(layers[0]?.digest)
  })

  test('that has no such repository is not asked at every poll', async () => {
    const { composition, registry } = world()
    const gateway = createGateway(composition)
    for (let poll = 0; poll < 20; poll++) await expect(gateway.checkIn(d1, at('1.0.0'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(registry.calls.length).toBe(1)
  })

  test('a device id that would smuggle in a tag names no repository', async () => {
    const { composition } = world({ repository: 'registry.test/fw/{device}' })
    const gateway = createGateway(composition)
    for (const id of ['a:1.0.0', `a@sha256:${'0'.repeat(8)}`, 'UPPER']) {
      await expect(gateway.checkIn(principal(id), at('1.0.0'))).rejects.toMatchObject({ code: 'REPOSITORY_UNNAMEABLE' })
    }
  })
})

describe('a composition', () => {
  test('names everything that is missing, and says what it leaves open', () => {
    const { composition } = world()
    expect(() => createGateway({ ...composition, verifiers: [], authenticators: [] })).toThrow(/verifiers.*authenticators/)
    expect(() => createGateway({ ...composition, repository: 'r.test/x:1.0.0' })).toThrow(/without tag/)
    expect(() => createGateway({ ...composition, policy: { attestation: 'proven' } })).toThrow(/evidence verifier/)
    const { opens } = createGateway({ ...composition, targets: [memoryTarget()] }).composition
    expect(opens.join('\n')).toMatch(/unattested-devices[\s\S]*anonymous-devices[\s\S]*product/)
  })
})
