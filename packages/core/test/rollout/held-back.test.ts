import { type Connection, createEngine, createGateway, createRollout, type ReflashOptions, type Transport } from '@reflash/core'
import { memoryFleet, memoryTransport } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { principal, world } from '../composition.ts'
import { scene } from '../push/push.ts'

const by = { by: 'ann' }
const at = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })
const silent = { reports: false } as const
const d0 = principal('d0')

/** A deployment of 1.1.0 to one device, in its only wave. */
async function rolled(options: Partial<ReflashOptions> = {}) {
  const from = world({ fleet: memoryFleet(), ...options })
  from.release('1.0.0')
  from.release('1.1.0')
  const gateway = createGateway(from.composition)
  const rollout = createRollout(gateway.composition)
  await gateway.checkIn(d0, at('1.0.0'))
  await rollout.create({ id: 'roll', version: '1.1.0', waves: [100] }, by)
  await rollout.ticker({ holder: 'one' }).tick()
  from.clock.advance(1_500)
  return { ...from, gateway, rollout }
}

describe('a device that does not report', () => {
  test.each(['pause', 'abort'] as const)('does not begin the download that it was told of before a %s', async (action) => {
    const { gateway, rollout, clock } = await rolled()
    expect((await gateway.checkIn(d0, {}, undefined, silent)).offer?.version).toBe('1.1.0')
    await rollout[action]('roll', by)
    clock.advance(1_500)
    await expect(gateway.read(d0, 'current', undefined)).rejects.toMatchObject({ code: 'NO_OFFER' })
    await expect(gateway.head(d0, 'current')).rejects.toMatchObject({ code: 'NO_OFFER' })
  })

  test('goes on with the download that it has begun before a pause', async () => {
    const { gateway, rollout, clock } = await rolled()
    await gateway.checkIn(d0, {}, undefined, silent)
    await gateway.read(d0, 'current', undefined)
    await rollout.pause('roll', by)
    clock.advance(1_500)
    expect((await gateway.read(d0, 'current', undefined, { offset: 3 })).representation.fileName).not.toBe('')
  })
})

describe('a push to a device of a fleet', () => {
  test('is not taken back while its bytes are on their way, and nothing else is offered meanwhile', async () => {
    const { release, options, unit } = scene({}, { fleet: memoryFleet() })
    release('1.1.0')
    const gateway = createGateway({ ...options, onEvent: () => {} })
    const offers: (number | undefined)[] = []
    const line = memoryTransport([unit])
    const listening: Transport<'agent'> = {
      ...line,
      async connect(device, o) {
        const connection = (await line.connect?.(device, o)) as Connection<'agent'>
        const { port } = connection
        const write: typeof port.write = async (...chunk) => {
          offers.push((await gateway.checkIn(principal('d1'), at('1.0.0'))).offer?.seq)
          return port.write(...chunk)
        }
        return { ...connection, port: { ...port, write } }
      },
    }
    const engine = createEngine({ ...options, transports: [listening] })
    expect(await engine.update({ id: 'd1', model: 'board' })).toMatchObject({ seq: 1, outcome: 'confirmed' })
    expect(new Set(offers)).toEqual(new Set([1]))
  })
})

describe('a deployment', () => {
  test('is refused where the policy has no channel for its version', async () => {
    const { rollout, release } = await rolled()
    release('1.2.0-beta.1')
    await expect(rollout.create({ id: 'beta', version: '1.2.0-beta.1' }, by)).rejects.toMatchObject({ code: 'INVALID_DEPLOYMENT' })
    expect(await rollout.list()).toHaveLength(1)
  })
})
