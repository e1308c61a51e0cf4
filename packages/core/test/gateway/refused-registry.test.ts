import { createEngine, createGateway, OtaError, type ReflashOptions } from '@reflash/core'
import { memoryCache } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { world } from '../composition.ts'
import { scene } from '../push/push.ts'
import { at, d1, gatewayOf, recordIn } from './pull.ts'

const denied = new OtaError('REGISTRY_DENIED', 'rejected', 'expected leave, found 401', { concerns: 'access' })
const refuse = (): never => {
  throw denied
}

/** The same composition after a restart that lost the cache, with a registry that refuses this server in one of its calls. */
function restarted(composition: ReflashOptions, call: 'resolve' | 'fetch'): ReflashOptions {
  return { ...composition, cache: memoryCache(), registry: { ...composition.registry, [call]: async () => refuse() } }
}

/** A journal that forgets which roots were verified, so that they are asked for again. */
async function forgetRoots({ journal }: ReflashOptions): Promise<void> {
  const keys = await Array.fromAsync(journal.list('registry/'))
  for (const key of keys) {
    const { version } = (await journal.get(key)) as { readonly version: string }
    await journal.delete(key, { ifVersion: version })
  }
}

describe.each(['resolve', 'fetch'] as const)('a registry that refuses this server after a restart (%s)', (call) => {
  async function underWay() {
    const made = world()
    const { digest } = made.release('1.1.0').layers[0] as { digest: string }
    const before = createGateway(made.composition)
    await before.checkIn(d1, at('1.0.0'))
    await before.report(d1, 1, { state: 'installed' })
    await forgetRoots(made.composition)
    return { ...made, digest, refused: restarted(made.composition, call) }
  }

  test('does not fail the update of a device that shows the new image already, which is confirmed once it is mended', async () => {
    const { composition, refused, events, digest } = await underWay()
    const shown = at('1.1.0', { digest })
    await expect(createGateway(refused).checkIn(d1, shown)).rejects.toMatchObject({
      code: 'RELEASE_UNREACHABLE',
      fault: 'unavailable',
      because: [{ code: 'REGISTRY_DENIED' }],
    })
    expect((await recordIn(composition.journal)).open).toBeDefined()
    await gatewayOf(composition).checkIn(d1, shown)
    expect(events.at(-1)).toMatchObject({ type: 'device', stage: 'confirm', status: 'passed' })
  })

  test('does not fail the update that a device reports of, or reads', async () => {
    const { composition, refused } = await underWay()
    const gateway = createGateway(refused)
    const unavailable = { code: 'RELEASE_UNREACHABLE', fault: 'unavailable' }
    await expect(gateway.report(d1, 1, { state: 'confirmed' })).rejects.toMatchObject(unavailable)
    await expect(gateway.read(d1, 1)).rejects.toMatchObject(unavailable)
    expect((await recordIn(composition.journal)).open).toBeDefined()
  })

  test('shows in the health of the server', async () => {
    const { refused } = await underWay()
    const gateway = createGateway(refused)
    await expect(gateway.checkIn(d1, at('1.0.0'))).rejects.toMatchObject({ fault: 'unavailable' })
    const { status, parts } = await gateway.health()
    expect([status, parts.registry?.status]).toEqual(['degraded', 'stale'])
    expect(parts.registry?.reason).toContain('REGISTRY_DENIED')
  })

  test('does not fail an update that a push goes on with', async () => {
    const { release, options, unit, engine } = scene()
    release('1.1.0')
    // Behind its delivery: the look of `install`, or its `activate`.
    unit.breakLine(unit.calls.length + 7)
    await expect(engine.update({ id: 'd1' })).rejects.toMatchObject({ code: 'DEVICE_SILENT' })
    const { open } = await recordIn(options.journal)
    expect(open).toBeDefined()
    await forgetRoots(options)
    const refused = createEngine({ ...options, ...restarted(options, call) })
    await expect(refused.update({ id: 'd1' })).rejects.toMatchObject({ code: 'RELEASE_UNREACHABLE' })
    expect((await recordIn(options.journal)).open).toMatchObject({ digest: open.digest })
  })
})
