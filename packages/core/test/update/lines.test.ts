import {
  confirm,
  defaultPolicy,
  deliver,
  fetch,
  inspect,
  install,
  type Planned,
  plan,
  type Release,
  type ReleaseDeps,
  type Resolved,
  type Verified,
  verify,
} from '@reflash/core'
import { memoryTarget } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { signal, walked } from './rooms.ts'

describe('the rooms in their order', () => {
  test('a signed release goes from a reference to a confirmed device', async () => {
    const { planned, release, context } = await walked()
    expect(release.held.verified.version).toBe('1.1.0')
    const { digest, size } = release.held.verified.resolved.images[0].descriptor
    const delivered = deliver(planned, { by: 'read-back', digest, size })
    if (delivered.is !== 'passed') throw new Error(delivered.is)
    const installed = install(delivered.proof, { by: 'report', report: { state: 'installed' } })
    if (installed.is !== 'passed') throw new Error(installed.is)
    const confirmed = confirm(
      installed.proof,
      { by: 'check-in', installed: { version: '1.1.0', state: 'confirmed' } },
      defaultPolicy,
      context.now,
    )
    expect(confirmed.is).toBe('passed')
  })

  test('a pending boot, a read-back and silence confirm nothing', async () => {
    const { planned, release, context } = await walked()
    const { digest, size } = release.held.verified.resolved.images[0].descriptor
    const delivered = deliver(planned, { by: 'report', report: { state: 'downloaded' } })
    if (delivered.is !== 'passed') throw new Error(delivered.is)
    const installed = install(delivered.proof, { by: 'report', report: { state: 'installed' } })
    if (installed.is !== 'passed') throw new Error(installed.is)
    const say = (observed: Parameters<typeof confirm>[1]) => confirm(installed.proof, observed, defaultPolicy, context.now).is
    expect(say({ by: 'check-in', installed: { version: '1.1.0', state: 'pending' } })).toBe('waiting')
    expect(say({ by: 'check-in', installed: { version: '1.0.0' } })).toBe('waiting')
    expect(say({ by: 'check-in', installed: { version: '1.1.0', digest: `sha256:${'0'.repeat(64)}` } })).toBe('waiting')
    expect(say({ by: 'read-back', digest, size })).toBe('waiting')
    expect(say({ by: 'none', since: context.now })).toBe('unobserved')
    expect(say({ by: 'report', report: { state: 'rolled-back' } })).toBe('failed')
    const proven = confirm(installed.proof, { by: 'report', report: { state: 'confirmed' } }, { attestation: 'proven' }, context.now)
    expect(proven.is).toBe('waiting')
  })

  test('what was read back must be the image, byte for byte', async () => {
    const { planned, release } = await walked()
    const { image } = release.images[0] as Release['images'][number]
    const { digest, size } = image.descriptor
    expect(deliver(planned, { by: 'read-back', digest, size, crc32: image.crc32 }).is).toBe('passed')
    expect(deliver(planned, { by: 'read-back', digest, size: size + 1 })).toMatchObject({
      is: 'failed',
      because: [{ code: 'SIZE_MISMATCH' }],
    })
    expect(deliver(planned, { by: 'read-back', digest, size, crc32: (image.crc32 ^ 1) >>> 0 })).toMatchObject({
      is: 'failed',
      because: [{ code: 'CRC_MISMATCH' }],
    })
    expect(deliver(planned, { by: 'read-back', digest: `sha256:${'0'.repeat(64)}`, size })).toMatchObject({
      is: 'failed',
      because: [{ code: 'DIGEST_MISMATCH' }],
    })
  })
})

describe('a room cannot be skipped', () => {
  test('the compiler refuses every hand-made proof', () => {
    const never = (): void => {
      const hand = {} as { resolved: Resolved; results: []; version: string }
      const all = {} as ReleaseDeps
      const context = { signal, now: new Date() }
      // @ts-expect-error an object with the right fields is no proof
      void fetch(hand, all, context)
      // @ts-expect-error a proof of an earlier room is not that of a later one
      void fetch({} as Resolved, all, context)
      // @ts-expect-error a verified release was not fetched
      void inspect({} as Verified, all, context)
      // @ts-expect-error a plan needs an inspected release
      void plan('id', {} as never as Parameters<typeof plan>[1], {} as Verified, memoryTarget())
      // @ts-expect-error what was planned was not delivered
      void install({} as Planned, { by: 'none', since: new Date() })
      // A spread copy keeps the brand in the types: at run time it is refused, below.
    }
    expect(never).toBeTypeOf('function')
  })

  test.each([
    ['a spread copy', (proof: object) => ({ ...proof })],
    ['an object that inherits from a proof', (proof: object) => Object.create(proof) as object],
    [
      'parsed JSON',
      (proof: object) =>
        JSON.parse(JSON.stringify(proof, (_, value: unknown) => (typeof value === 'function' ? undefined : value))) as object,
    ],
    ['a structured clone of its data', (proof: object) => Object.fromEntries(Object.entries(proof))],
    ['a proxy', (proof: object) => new Proxy(proof, {})],
  ])('%s is no proof', async (_, forge) => {
    const { resolved, verified, held, release, admitted, planned, all, context } = await walked()
    const forged = { code: 'FORGED_PROOF', fault: 'internal' }
    await expect(verify(forge(resolved) as Resolved, all, context)).rejects.toMatchObject(forged)
    await expect(fetch(forge(verified) as Verified, all, context)).rejects.toMatchObject(forged)
    await expect(inspect(forge(held) as typeof held, all, context)).rejects.toMatchObject(forged)
    expect(() => plan('x', forge(admitted) as typeof admitted, release, all.target)).toThrow(expect.objectContaining(forged))
    expect(() => plan('x', admitted, forge(release) as Release, all.target)).toThrow(expect.objectContaining(forged))
    const observed = { by: 'report', report: { state: 'confirmed' } } as const
    expect(() => deliver(forge(planned) as Planned, observed)).toThrow(expect.objectContaining(forged))
    const delivered = deliver(planned, observed)
    if (delivered.is !== 'passed') throw new Error(delivered.is)
    expect(() => install(forge(delivered.proof) as typeof delivered.proof, observed)).toThrow(expect.objectContaining(forged))
    const installed = install(delivered.proof, observed)
    if (installed.is !== 'passed') throw new Error(installed.is)
    expect(() => confirm(forge(installed.proof) as typeof installed.proof, observed, defaultPolicy, context.now)).toThrow(
      expect.objectContaining(forged),
    )
  })

  test('a proof of one room is none of another, and cannot be changed', async () => {
    const { resolved, verified, all, context } = await walked()
    await expect(fetch(resolved as never, all, context)).rejects.toMatchObject({ code: 'FORGED_PROOF' })
    expect(() => Object.assign(verified, { version: '9.9.9' })).toThrow(TypeError)
  })
})
