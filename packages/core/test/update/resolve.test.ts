import { type Descriptor, mediaTypes, parsePlatform, type Registry, resolve } from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { image, repository, world } from '../composition.ts'
import { contextOf, depsOf } from './rooms.ts'

const reference = `${repository}:1.1.0`
const esp = parsePlatform('esp32')
const s3 = parsePlatform('esp32s3')

describe('resolve', () => {
  test('pins root, manifest and image by digest, for the first platform that the index has', async () => {
    const from = world()
    const of = (chip: string) =>
      from.registry.addArtifact(repository, { content: image('board', chip), version: '1.1.0', platform: parsePlatform(chip) })
    const [first, second] = [of('esp32'), of('esp32s3')]
    const index = from.registry.addIndex(repository, { manifests: [first.manifest, second.manifest], tag: '1.1.0' })
    const resolved = await resolve(reference, [parsePlatform('esp32s3r8'), s3, esp], depsOf(from), contextOf(from))
    expect(resolved.reference).toBe(`${repository}@${index.digest}`)
    expect(resolved).toMatchObject({ tag: '1.1.0', root: { digest: index.digest }, manifest: { digest: second.manifest.digest } })
    expect(resolved.images).toMatchObject([{ component: 'image', descriptor: { digest: second.layers[0]?.digest } }])
    await expect(resolve(reference, [], depsOf(from), contextOf(from))).rejects.toMatchObject({ code: 'PLATFORM_AMBIGUOUS' })
    const other = [parsePlatform('esp32c3')]
    await expect(resolve(reference, other, depsOf(from), contextOf(from))).rejects.toMatchObject({ code: 'PLATFORM_NOT_FOUND' })
  })

  test('is not moved by a registry that changes its answer afterwards, nor by one that changes it between two looks', async () => {
    const from = world()
    const { manifest } = from.release('1.1.0')
    const other = from.release('9.9.9').manifest
    let looks = 0
    const shifty = {
      mediaType: manifest.mediaType,
      size: manifest.size,
      get digest() {
        looks += 1
        return looks > 1 ? other.digest : manifest.digest
      },
    }
    const registry: Registry = { ...from.registry, resolve: async () => shifty }
    const resolved = await resolve(reference, [], depsOf(from, { registry }), contextOf(from))
    expect(resolved.root.digest).toBe(manifest.digest)
    const mutable: { -readonly [K in keyof Descriptor]: Descriptor[K] } = { ...manifest }
    const late: Registry = { ...from.registry, resolve: async () => mutable }
    const pinned = await resolve(reference, [], depsOf(from, { registry: late }), contextOf(from))
    mutable.digest = other.digest
    expect(pinned.root.digest).toBe(manifest.digest)
  })

  test('refuses a registry that resolves a digest to another, and one whose answer is no descriptor', async () => {
    const from = world()
    const { manifest } = from.release('1.1.0')
    const other = from.release('1.0.0').manifest
    const answering = (answer: unknown) => depsOf(from, { registry: { ...from.registry, resolve: async () => answer as Descriptor } })
    await expect(
      resolve(`${repository}@${manifest.digest}`, [], answering({ ...other, mediaType: mediaTypes.manifest }), contextOf(from)),
    ).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', fault: 'rejected', stage: 'resolve' })
    for (const answer of [undefined, null, {}, { ...manifest, size: -1 }, { ...manifest, digest: 'sha256:x' }]) {
      await expect(resolve(reference, [], answering(answer), contextOf(from))).rejects.toMatchObject({ code: 'INVALID_DESCRIPTOR' })
    }
    const huge = { ...manifest, size: 4 * 1024 * 1024 + 1 }
    await expect(resolve(reference, [], answering(huge), contextOf(from))).rejects.toMatchObject({
      code: 'MANIFEST_TOO_LARGE',
      fault: 'invalid',
    })
  })

  test('believes no cache: a manifest that does not have its digest is refused', async () => {
    const from = world()
    const { manifest } = from.release('1.1.0')
    const junk = new TextEncoder().encode('{}'.padEnd(manifest.size))
    const { cache } = from.composition
    const lying = {
      ...cache,
      hold: async (...[descriptor, open, context]: Parameters<typeof cache.hold>) => {
        const held = await cache.hold(descriptor, open, context)
        return {
          ...held,
          open: async function* () {
            yield junk
          },
        }
      },
    }
    await expect(resolve(reference, [], depsOf(from, { cache: lying }), contextOf(from))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  test('refuses several images, and names them without repeating what a hostile title says', async () => {
    const from = world()
    const title = 'x'.repeat(100_000)
    const layers = [1, 2].map((number) => ({
      content: image('board', String(number)),
      annotations: { 'org.opencontainers.image.title': title },
    }))
    from.registry.addArtifact(repository, { content: layers, tag: '1.1.0' })
    const refused = resolve(reference, [], depsOf(from), contextOf(from)).catch((error: unknown) => error)
    expect(await refused).toMatchObject({ code: 'COMPONENTS_UNSUPPORTED', fault: 'unsupported' })
    expect(((await refused) as Error).message.length).toBeLessThan(1000)
    from.registry.addArtifact(repository, { content: [], tag: '1.2.0' })
    await expect(resolve(`${repository}:1.2.0`, [], depsOf(from), contextOf(from))).rejects.toMatchObject({ code: 'INVALID_MANIFEST' })
  })
})
