import { admit, annotations, fetch, inspect, parsePlatform, plan, resolve, type Target, unattestedDevices, verify } from '@reflash/core'
import { memoryTarget } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { restorePlan } from '../../src/update/plan.ts'
import { principal, repository, world } from '../composition.ts'
import { contextOf, depsOf, policy, walked } from './rooms.ts'

async function scene(device: object, release: { from?: string; platform?: string } = {}, target: Target = memoryTarget()) {
  const from = world()
  const made = from.registry.addArtifact(repository, {
    content: new TextEncoder().encode('board board\nx'),
    tag: '1.1.0',
    version: '1.1.0',
    ...(release.platform === undefined ? {} : { platform: parsePlatform(release.platform) }),
    ...(release.from === undefined ? {} : { annotations: { [annotations.from]: release.from } }),
  })
  from.signed.add(made.manifest.digest)
  const deps = depsOf(from)
  const verified = await verify(await resolve(`${repository}:1.1.0`, [], deps, contextOf(from)), deps, contextOf(from))
  const inspected = await inspect(await fetch(verified, deps, contextOf(from)), deps, contextOf(from))
  const line = { attestation: [unattestedDevices()], journal: deps.journal, policy }
  const admitted = await admit({ id: 'd1', ...device }, principal('d1'), undefined, line, contextOf(from))
  return () => plan('d1/1', admitted, inspected, target)
}

const codes = (act: () => unknown): readonly string[] => {
  try {
    act()
    return []
  } catch (error) {
    return (error as { because: readonly { code: string }[] }).because.map(({ code }) => code)
  }
}

describe('plan', () => {
  test('says why, and refuses with every reason at once', async () => {
    expect((await scene({ model: 'board', installed: { version: '1.0.0' } }))().because).toEqual([
      { code: 'NEWER_VERSION', message: '1.1.0 is newer: installed 1.0.0' },
    ])
    expect((await scene({}))().because[0]?.message).toBe('1.1.0 is newer: nothing known to be installed')
    const all = await scene({ model: 'board2', installed: { version: '2.0.0', state: 'pending' } }, { platform: 'board' })
    expect(codes(all)).toEqual(['DOWNGRADE', 'PENDING_CONFIRMATION', 'WRONG_MODEL', 'WRONG_PLATFORM'])
    expect(codes(await scene({ installed: { version: '1.0.0' } }, { from: '>=1.0.5' }))).toEqual(['FLOOR_NOT_REACHED'])
    expect(codes(await scene({ installed: { version: '1.1.0' } }))).toEqual(['ALREADY_INSTALLED'])
    expect(codes(await scene({ installed: { version: 'newest' } }))).toEqual(['VERSION_UNREADABLE'])
    expect(codes(await scene({ model: 'toaster' }))).toEqual(['WRONG_TARGET'])
    expect(codes(await scene({ model: 'board' }, {}, memoryTarget('boar')))).toEqual(['WRONG_TARGET'])
  })

  test('refuses what is signed for another platform, with an index or without one', async () => {
    expect(codes(await scene({ model: 'board' }, { platform: 'board' }))).toEqual([])
    expect(codes(await scene({ model: 'board' }, { platform: 'esp32' }))).toEqual(['WRONG_PLATFORM'])
    expect(codes(await scene({}, { platform: 'esp32' }))).toEqual([])
  })

  test('is a plan that nobody can change, not even the target that made it', async () => {
    const made = { slotBytes: 1, nested: { offset: 1 } }
    const target: Target = { ...memoryTarget(), plan: () => made }
    const planned = (await scene({ model: 'board' }, {}, target))()
    made.nested.offset = 2
    expect(planned.plan).toEqual({ slotBytes: 1, nested: { offset: 1 } })
    expect(() => Object.assign(planned.plan as object, { slotBytes: 2 })).toThrow(TypeError)
  })

  test('names the target that breaks, and hides nothing of it', async () => {
    const cause = new TypeError('undefined is not an image')
    const target: Target = {
      ...memoryTarget(),
      plan: () => {
        throw cause
      },
    }
    expect(await scene({ model: 'board' }, {}, target)).toThrow(
      expect.objectContaining({ code: 'BROKEN_PLUGIN', fault: 'internal', cause }),
    )
  })

  test('is restored as it was stored, through the target that reads it', async () => {
    const { admitted, release, all, planned } = await walked()
    const stored = JSON.parse(JSON.stringify(planned.plan)) as { slotBytes: number }
    const restored = restorePlan('d1/1', admitted, release, all.target, stored)
    expect(restored).toMatchObject({ plan: stored, because: [{ code: 'RESUMED' }] })
    expect(() => restorePlan('d1/1', admitted, release, all.target, { slotBytes: 5 })).toThrow(
      expect.objectContaining({ code: 'FACTS_CORRUPT' }),
    )
  })
})
