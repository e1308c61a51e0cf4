import { collect, createGateway, type Descriptor, type ReflashOptions, type SignatureVerifier } from '@reflash/core'
import { memoryCache } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { image, principal, repository, world } from '../composition.ts'
import { at, d1, recordIn } from './pull.ts'

const signatureTag = `${repository}:signature-of-1.1.0`

/** Vouches for whatever has a signature of this number at its tag, and reads it. */
function tagVerifier(number: () => string): SignatureVerifier {
  return {
    kind: 'signature-verifier',
    name: 'tag',
    spec: 0,
    policy: 'test',
    async verify(_, { from, signal }) {
      const descriptor = await from.resolve(signatureTag, { signal })
      for await (const _ of await from.fetch(repository, descriptor, { signal }));
      const good = descriptor.annotations === undefined && descriptor.digest === number()
      return { covers: 'root', checks: [{ name: 'SIGNED', status: good ? 'passed' : 'failed', reason: `by ${number()}` }] }
    },
  }
}

/** A device in the middle of 1.1.0, and a server that was started again since. */
async function underWay() {
  let trusted = ''
  const made = world({ verifiers: [tagVerifier(() => trusted)] })
  const { registry } = made
  const sign = (text: string): string =>
    registry.addArtifact(repository, { content: new TextEncoder().encode(text), tag: 'signature-of-1.1.0' }).manifest.digest
  trusted = sign('one')
  const release = made.release('1.1.0')
  const before = createGateway(made.composition)
  await before.checkIn(d1, at('1.0.0'))
  await before.report(d1, 1, { state: 'downloading' })
  const restarted = (more: Partial<ReflashOptions> = {}) => createGateway({ ...made.composition, ...more })
  const trust = (digest: string): void => {
    trusted = digest
  }
  return { ...made, sign, trust, restarted, image: release.layers[0] as Descriptor, root: release.manifest }
}

const offered = { offer: { seq: 1, version: '1.1.0' } }

describe('an update that is under way when the server is started again', () => {
  test.each<[string, (from: Awaited<ReturnType<typeof underWay>>) => void]>([
    ['deleted its signature', ({ registry }) => registry.untag(repository, 'signature-of-1.1.0')],
    ['put another signature in its place', ({ sign }) => void sign('two')],
  ])('goes on though the registry %s, and nobody else begins it', async (_, turn) => {
    const from = await underWay()
    turn(from)
    for (const server of [from.restarted(), from.restarted()]) {
      // Whoever asks first makes the server hear what the registry says now.
      await expect(server.checkIn(principal('d2'), at('1.0.0'))).resolves.not.toHaveProperty('offer')
      expect(await server.checkIn(d1, at('1.0.0'))).toMatchObject(offered)
    }
  })

  test.each(['image', 'root'] as const)('stays open while the registry sends something else in the place of a lost %s', async (part) => {
    const from = await underWay()
    const { registry, composition, restarted } = from
    const right = await collect(await registry.fetch(repository, from[part]), from[part].size)
    registry.replace(repository, from[part].digest, right.with(0, 1))
    const server = restarted({ cache: memoryCache() })
    await expect(server.checkIn(d1, at('1.0.0'))).rejects.toMatchObject({
      code: 'RELEASE_UNREACHABLE',
      fault: 'unavailable',
      because: [{ code: 'DIGEST_MISMATCH' }],
    })
    await expect(server.report(d1, 1, { state: 'downloaded' })).rejects.toMatchObject({ code: 'RELEASE_UNREACHABLE' })
    expect((await recordIn(composition.journal)).open).toMatchObject({ digest: from.image.digest })
    registry.replace(repository, from[part].digest, right)
    expect(await server.checkIn(d1, at('1.0.0'))).toMatchObject(offered)
  })

  test('is verified by the newest signatures where those that it was verified with do not count any more', async () => {
    const { sign, trust, restarted } = await underWay()
    trust(sign('two'))
    expect(await restarted().checkIn(d1, at('1.0.0'))).toMatchObject(offered)
  })

  test('ends where its signatures count no more, or where what is lost here was deleted', async () => {
    const retired = await underWay()
    retired.trust('nobody')
    expect(await retired.restarted().checkIn(d1, at('1.0.0'))).toMatchObject({ because: [{ code: 'SIGNATURE_REFUSED/SIGNED' }] })
    const { restarted, registry } = await underWay()
    const gone = {
      ...registry,
      fetch: async () => registry.fetch(repository, { mediaType: 'a/b', digest: `sha256:${'0'.repeat(64)}`, size: 1 }),
    }
    const server = restarted({ cache: memoryCache(), registry: gone })
    expect((await server.checkIn(d1, at('1.0.0'))).offer).toBeUndefined()
    await expect(server.report(d1, 1, { state: 'downloaded' })).resolves.toBeUndefined()
  })
})

describe('an image that has left the cache', () => {
  test('and comes back as something else is not served, and is not said to be wrong', async () => {
    const from = world()
    const { layers } = from.release('1.1.0')
    const { digest } = layers[0] as { digest: `sha256:${string}` }
    const { hold } = from.composition.cache
    // Reads everything again from the registry.
    const forgetful: ReflashOptions['cache'] = {
      ...from.composition.cache,
      hold: async (descriptor, open, context) => {
        const held = await hold(descriptor, open, context)
        const anew = async function* () {
          const again = await memoryCache().hold(descriptor, open, context)
          yield* again.open()
        }
        return { ...held, open: anew, body: anew }
      },
    }
    const gateway = createGateway({ ...from.composition, cache: forgetful })
    await gateway.checkIn(d1, at('1.0.0'))
    from.registry.replace(repository, digest, image('board', '9.9.9'))
    const { body } = await gateway.read(d1, 1)
    await expect(Array.fromAsync(body as AsyncIterable<Uint8Array>)).rejects.toMatchObject({
      code: 'RELEASE_UNREACHABLE',
      fault: 'unavailable',
      because: [{ code: 'DIGEST_MISMATCH' }],
    })
  })
})
