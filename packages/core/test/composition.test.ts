import {
  type Composition,
  compose,
  createEngine,
  createGateway,
  OtaError,
  type ReflashOptions,
  tokenDevices,
  unattestedDevices,
  unsignedArtifacts,
} from '@reflash/core'
import { memoryCache, memoryDevice, memoryJournal, memoryRegistry, memoryTarget, memoryTransport } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { image, principal, repository, world } from './composition.ts'

const problems = (change: object): readonly string[] => {
  try {
    compose({ ...world().composition, ...change } as ReflashOptions)
    return []
  } catch (error) {
    if (!(error instanceof OtaError)) throw error
    expect(error).toMatchObject({ code: 'INVALID_COMPOSITION', fault: 'invalid' })
    return error.because.map(({ message }) => message)
  }
}

describe('a composition', () => {
  test('does no I/O', () => {
    const from = world({
      journal: { ...memoryJournal(), get: () => Promise.reject(new Error('read')), put: () => Promise.reject(new Error('written')) },
    })
    compose(from.composition)
    expect(from.registry.calls).toEqual([])
  })

  test('names everything that is missing at once', () => {
    const nothing = {
      registry: undefined,
      verifiers: [],
      targets: undefined,
      authenticators: {},
      attestation: [],
      journal: null,
      cache: memoryJournal(),
      repository: 5,
    }
    expect(problems(nothing).map((message) => message.split(':')[0])).toEqual([
      'verifiers',
      'targets',
      'authenticators',
      'attestation',
      'registry',
      'journal',
      'cache',
      'repository',
    ])
  })

  test.each<[string, object, RegExp]>([
    [
      'a plugin in another one’s place',
      { verifiers: [memoryTarget()] },
      /verifiers\[0\]: expected a plugin of kind signature-verifier, found "target"/,
    ],
    ['nothing in a list', { authenticators: [undefined] }, /authenticators\[0\].*found none/],
    ['a version source that is none', { versions: unsignedArtifacts() }, /versions: expected/],
    ['a transport that is none', { transports: [memoryTarget()] }, /transports\[0\]/],
    ['transports that are no list', { transports: 'x' }, /transports: expected a list of transports, found "x"/],
    ['no transports by another word', { transports: null }, /transports: expected a list of transports, found null/],
    ['a policy that is none', { policy: null }, /policy: expected an object, found null/],
    ['times that are none', { times: 'slow' }, /times: expected an object, found "slow"/],
    ['a time that is none', { times: { 'ans\u0000werMs': 5 } }, /times: expected some of .*; found "ans\\u0000werMs"/],
    ['a channel in a list', { policy: { channel: ['beta'] } }, /policy.channel.*found an array/],
    ['attempts that cannot become text', { policy: { attempts: { toString: 3 } } }, /policy.attempts.*found an object/],
    ['a product that no release can have', { product: 5 }, /product: expected the name of a product, found 5/],
    ['a clock that stands', { clock: new Date() }, /clock: expected a function, found an object/],
    ['two targets of one name', { targets: [memoryTarget(), memoryTarget()] }, /targets: expected different names/],
    ['a tag in the repository', { repository: 'r.test/x:1.0.0' }, /without tag or digest/],
    ['a digest in the repository', { repository: `r.test/x@sha256:${'0'.repeat(64)}` }, /without tag or digest/],
    ['a repository that is none', { repository: 'x' }, /repository/],
    ['a placeholder that nobody fills', { repository: 'r.test/{serial}' }, /\{device\} and \{model\}/],
    ['a broken placeholder', { repository: 'r.test/{device' }, /\{device\} and \{model\}/],
    ['a misspelt demand', { policy: { attestation: 'Proven' } }, /policy.attestation: expected none, before or proven, found "Proven"/],
    ['a demand that nobody can judge', { policy: { attestation: 'before' } }, /needs an evidence verifier/],
    ['a channel that no version can be in', { policy: { channel: 'beta.1' } }, /policy.channel/],
    ['more attempts than are remembered', { policy: { attempts: 17 } }, /policy.attempts: expected a whole number from 1 to 16, found 17/],
    ['no attempts', { policy: { attempts: 0 } }, /policy.attempts/],
    ['a revision that is no text', { policy: { revision: 5 } }, /policy.revision/],
    ['a time below zero', { times: { waitMs: -1 } }, /times.waitMs/],
    ['a time that no timer can hold', { times: { releaseMs: 2 ** 31 } }, /times.releaseMs/],
    ['a time that is no number', { policy: { bootGraceMs: Number.NaN } }, /policy.bootGraceMs/],
    ['half a millisecond', { pollMs: 0.5 }, /pollMs/],
    ['images without bytes', { imageLimitBytes: 0 }, /imageLimitBytes/],
  ])('is refused with %s', (_, change, message) => {
    const found = problems(change)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatch(message)
  })

  test.each([
    ['templates', { repository: 'r.test/fw/{model}-{device}' }],
    ['a layout on disk', { repository: 'oci:/srv/releases' }],
    ['times of nothing', { times: { freshMs: 0, staleMs: 0, waitMs: 0 } }],
    ['sixteen attempts', { policy: { attempts: 16 } }],
    ['a channel', { policy: { channel: 'beta' } }],
  ])('takes %s', (_, change) => expect(problems(change)).toEqual([]))

  test('cannot be changed afterwards', () => {
    const policy = { attempts: 5 }
    const composition = compose({ ...world().composition, policy })
    policy.attempts = 1
    expect(composition.policy.attempts).toBe(5)
    expect(() => Object.assign(composition, { policy })).toThrow(TypeError)
    expect(() => Object.assign(composition.policy, policy)).toThrow(TypeError)
  })

  test('says what it leaves open, one sentence each', () => {
    const { composition } = world()
    expect(compose({ ...composition, verifiers: [unsignedArtifacts()] }).opens.map((text) => text.split(':')[0])).toEqual([
      'unsigned-artifacts',
      'unattested-devices',
      'anonymous-devices',
      'product',
    ])
    const closed = compose({ ...composition, product: 'sensor', authenticators: [tokenDevices({ d1: 'x' })] })
    expect(closed.opens.map((text) => text.split(':')[0])).toEqual(['unattested-devices'])
  })
})

describe('closing a composition', () => {
  const closing = (order: string[], fails: readonly string[] = []): Composition => {
    const { composition, registry } = world()
    const close = (name: string) => async () => {
      order.push(name)
      if (fails.includes(name)) throw new OtaError('DISK', 'unavailable', name)
    }
    const journal = { ...memoryJournal(), close: close('journal') }
    return compose({
      ...composition,
      registry: { ...registry, close: close('registry') },
      journal,
      cache: { ...memoryCache(), close: close('cache') },
      verifiers: composition.verifiers.map((verifier) => ({ ...verifier, close: close('verifier') })),
    })
  }

  test('closes every plugin once, what others stand on last', async () => {
    const order: string[] = []
    const composition = closing(order)
    await Promise.all([composition.close(), composition.close()])
    await composition.close()
    expect(order).toEqual(['registry', 'verifier', 'journal', 'cache'])
  })

  test('closes the others though one fails, and says so', async () => {
    const order: string[] = []
    const composition = closing(order, ['registry', 'journal'])
    await expect(composition.close()).rejects.toMatchObject({ code: 'DISK', message: 'registry' })
    expect(order).toEqual(['registry', 'verifier', 'journal', 'cache'])
  })

  test('ends the events, and whoever iterates over them', async () => {
    const composition = compose(world().composition)
    const reading = (async () => {
      for await (const _ of composition.events.iterate());
      return 'ended'
    })()
    await composition.close()
    expect(await reading).toBe('ended')
  })
})

// The examples of the docstrings of compose, createGateway and createEngine, as they stand there.
describe('the examples', () => {
  test('work as they are written', async () => {
    const registry = memoryRegistry()
    registry.addArtifact('registry.example/firmware/sensor', { content: image('board', '1.1.0'), tag: '1.1.0', version: '1.1.0' })
    const options: ReflashOptions = {
      repository: 'registry.example/firmware/sensor',
      registry,
      verifiers: [unsignedArtifacts()],
      targets: [memoryTarget()],
      authenticators: [tokenDevices({ 'sensor-1': 'a token' })],
      attestation: [unattestedDevices()],
      journal: memoryJournal(),
      cache: memoryCache(),
    }
    const composition = compose(options)
    for (const sentence of composition.opens) expect(sentence).toMatch(/: /)

    const gateway = createGateway(composition)
    const who = { deviceId: 'sensor-1', by: 'token' } as const
    const { offer, because } = await gateway.checkIn(who, { model: 'board', installed: { version: '1.0.0' } })
    expect(because[0]?.code).toBe('NEWER_VERSION')
    if (offer === undefined) throw new Error('expected an offer')
    const { body, representation } = await gateway.read(who, offer.seq)
    expect([body, representation.crc32 >= 0]).toEqual([image('board', '1.1.0'), true])
    await gateway.report(who, offer.seq, { state: 'installed' })

    const device = memoryDevice({ id: 'board-1', runs: image('board', '1.0.0') })
    const engine = createEngine({ ...options, transports: [memoryTransport([device])], lookAgainMs: 1 })
    const { outcome } = await engine.update({ id: 'board-1', model: 'board' })
    expect(outcome).toBe('confirmed')
    await engine.composition.close()
    await composition.close()
  })
})

test('a gateway and an engine may share one composition, and see one journey', async () => {
  const { release, composition: options } = world()
  release('1.1.0')
  const unit = memoryDevice({ id: 'd1', runs: image('board', '1.0.0') })
  const composition = compose(options)
  const gateway = createGateway(composition)
  const engine = createEngine({ ...options, transports: [memoryTransport([unit])], lookAgainMs: 1 }, composition)
  await engine.update({ id: 'd1' }, { reference: `${repository}:1.1.0` })
  const { because } = await gateway.checkIn(principal('d1'), { model: 'board', installed: { version: '1.1.0' } })
  expect(because[0]?.code).toBe('UP_TO_DATE')
  expect([gateway.composition, engine.composition]).toEqual([composition, composition])
})
