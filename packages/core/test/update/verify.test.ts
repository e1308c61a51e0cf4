import {
  annotations,
  anyOf,
  parsePlatform,
  type Registry,
  resolve,
  type SignatureVerifier,
  unsignedArtifacts,
  type VerifyContext,
  type VersionSource,
  verify,
} from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { image, repository, vouchingVerifier, world } from '../composition.ts'
import { contextOf, depsOf } from './rooms.ts'

const platform = parsePlatform('esp32')

/** One manifest in an index, with annotations on both; vouched for is what `covers` says. */
function indexed(options: {
  readonly covers: 'root' | 'manifest'
  readonly root?: Record<string, string>
  readonly manifest?: Record<string, string>
  readonly listedAs?: string
}) {
  const from = world()
  const made = from.registry.addArtifact(repository, {
    content: image('board', 'x'),
    ...(options.manifest === undefined ? {} : { annotations: options.manifest }),
  })
  const listed = { ...made.manifest, platform: parsePlatform(options.listedAs ?? 'esp32') }
  const index = from.registry.addIndex(repository, {
    manifests: [listed],
    tag: '1.1.0',
    ...(options.root === undefined ? {} : { annotations: options.root }),
  })
  const signed = new Set<string>([options.covers === 'root' ? index.digest : made.manifest.digest])
  return { from, verifier: vouchingVerifier(signed, options.covers), platforms: [listed.platform] }
}

async function verdict(
  { from, verifier, platforms }: ReturnType<typeof indexed>,
  more: readonly SignatureVerifier[] = [],
  product?: string,
) {
  const deps = depsOf(from, { verifiers: [...more, verifier], ...(product === undefined ? {} : { product }) })
  return verify(await resolve(`${repository}:1.1.0`, platforms, deps, contextOf(from)), deps, contextOf(from))
}

const { version, product, from: floor, platform: chip } = annotations

describe('what a release says of itself', () => {
  test('counts on a signed index and on its manifest alike', async () => {
    const said = { [version]: '1.1.0', [product]: 'sensor', [floor]: '>=1.0.0' }
    const expected = { version: '1.1.0', product: 'sensor', from: '>=1.0.0' }
    expect(await verdict(indexed({ covers: 'root', root: said }))).toMatchObject(expected)
    expect(await verdict(indexed({ covers: 'root', manifest: said }))).toMatchObject(expected)
    expect(await verdict(indexed({ covers: 'manifest', manifest: said }))).toMatchObject(expected)
  })

  test('does not count on an index that nobody signed', async () => {
    await expect(verdict(indexed({ covers: 'manifest', root: { [version]: '1.1.0' } }))).rejects.toMatchObject({
      code: 'VERSION_NOT_SIGNED',
    })
    const old = indexed({ covers: 'manifest', root: { [version]: '1.1.0' }, manifest: { [version]: '1.0.0' } })
    await expect(verdict(old)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
    const others = indexed({ covers: 'manifest', root: { [product]: 'sensor' }, manifest: { [version]: '1.1.0', [product]: 'toaster' } })
    await expect(verdict(others, [], 'sensor')).rejects.toMatchObject({ code: 'WRONG_PRODUCT' })
  })

  test('does not count on an unsigned index because unsignedArtifacts() lets it pass', async () => {
    const mixed = () => indexed({ covers: 'manifest', root: { [version]: '1.1.0' } })
    await expect(verdict(mixed(), [unsignedArtifacts()])).rejects.toMatchObject({ code: 'VERSION_NOT_SIGNED' })
    const { from, platforms } = mixed()
    expect(await verdict({ from, platforms, verifier: unsignedArtifacts() })).toMatchObject({ version: '1.1.0' })
  })

  test.each([
    ['version', version, 'VERSION_MISMATCH', '1.1.0', '1.1.1'],
    ['product', product, 'WRONG_PRODUCT', 'sensor', 'toaster'],
    ['floor', floor, 'INVALID_FLOOR', '>=1.0.0', '*'],
  ])('must agree between a signed index and its manifest: %s', async (_, key, code, one, other) => {
    const root = { [version]: '1.1.0', [key]: one }
    const manifest = { [version]: '1.1.0', [key]: other }
    await expect(verdict(indexed({ covers: 'root', root, manifest }))).rejects.toMatchObject({ code, stage: 'verify' })
  })

  test('names a platform, which must be the one that the index offers it for', async () => {
    const signedFor = (text: string, covers: 'root' | 'manifest') =>
      indexed({ covers, manifest: { [version]: '1.1.0', [chip]: text }, listedAs: 'esp32s3' })
    expect(await verdict(signedFor('custom/esp32s3', 'manifest'))).toMatchObject({ platform: parsePlatform('esp32s3') })
    expect(await verdict(signedFor('esp32s3', 'manifest'))).toMatchObject({ platform: parsePlatform('esp32s3') })
    for (const covers of ['root', 'manifest'] as const) {
      await expect(verdict(signedFor('custom/esp32', covers))).rejects.toMatchObject({ code: 'WRONG_PLATFORM', fault: 'rejected' })
      await expect(verdict(signedFor('a/b/c/d', covers))).rejects.toMatchObject({ code: 'WRONG_PLATFORM' })
    }
    expect(await verdict(indexed({ covers: 'root', manifest: { [version]: '1.1.0' } }))).toMatchObject({ platform })
    expect((await verdict(indexed({ covers: 'manifest', manifest: { [version]: '1.1.0' } }))).platform).toBeUndefined()
  })

  test('is told in short errors, however long it is', async () => {
    const long = 'x'.repeat(100_000)
    for (const key of [version, product, floor, chip]) {
      const error = await verdict(indexed({ covers: 'root', manifest: { [version]: '1.1.0', [key]: long } }), [], 'p').catch(
        (e: Error) => e,
      )
      expect((error as Error).message.length).toBeLessThan(600)
      expect(JSON.stringify(error).length).toBeLessThan(2_000)
    }
  })
})

describe('a signature verifier', () => {
  const saying = (result: unknown): SignatureVerifier => ({ ...unsignedArtifacts(), verify: async () => result as never })
  const refuse = async (verifier: SignatureVerifier) => {
    const from = world()
    from.release('1.1.0')
    const deps = depsOf(from, { verifiers: [verifier] })
    return verify(await resolve(`${repository}:1.1.0`, [], deps, contextOf(from)), deps, contextOf(from))
  }

  test.each([
    ['no checks', { covers: 'root', checks: [] }],
    ['no result', undefined],
    ['no list of checks', { covers: 'root' }],
    ['a status that nobody knows', { covers: 'root', checks: [{ name: 'A', status: 'ok' }] }],
    [
      'one failed check among passed ones',
      {
        covers: 'root',
        checks: [
          { name: 'A', status: 'passed' },
          { name: 'B', status: 'failed' },
        ],
      },
    ],
    [
      'a failed and an inconclusive check',
      {
        covers: 'root',
        checks: [
          { name: 'A', status: 'failed' },
          { name: 'B', status: 'inconclusive' },
        ],
      },
    ],
  ])('that returns %s lets nothing pass', async (_, result) => {
    await expect(refuse(saying(result))).rejects.toMatchObject({ code: 'SIGNATURE_REFUSED', fault: 'rejected' })
  })

  test('that could not tell makes the release unavailable, not refused', async () => {
    const result = {
      covers: 'root',
      checks: [
        { name: 'A', status: 'passed' },
        { name: 'B', status: 'inconclusive', reason: 'timeout' },
      ],
    }
    await expect(refuse(saying(result))).rejects.toMatchObject({
      code: 'SIGNATURE_INCONCLUSIVE',
      fault: 'unavailable',
      because: [{ code: 'B' }],
    })
  })

  test('must be there: without any, nothing passes', async () => {
    const from = world()
    from.release('1.1.0')
    const deps = depsOf(from, { verifiers: [] })
    const resolved = await resolve(`${repository}:1.1.0`, [], deps, contextOf(from))
    await expect(verify(resolved, deps, contextOf(from))).rejects.toMatchObject({ code: 'SIGNATURE_REFUSED' })
  })

  test('reads from an offset, and nothing larger than a manifest before a signature has passed', async () => {
    const from = world()
    from.release('1.1.0')
    const content = from.registry.addContent(repository, 'text/plain', new TextEncoder().encode('signature'))
    const read: string[] = []
    const reader: SignatureVerifier = {
      ...unsignedArtifacts(),
      verify: async (subject, context: VerifyContext) => {
        for await (const chunk of await context.from.fetch(repository, content, { offset: 4 })) read.push(new TextDecoder().decode(chunk))
        const huge = { ...content, size: 4 * 1024 * 1024 + 1 }
        const error = await context.from.fetch(repository, huge).catch((e: { code?: string }) => e)
        read.push((error as { code?: string }).code ?? 'read')
        return unsignedArtifacts().verify(subject, context)
      },
    }
    const deps = depsOf(from, { verifiers: [reader] })
    await verify(await resolve(`${repository}:1.1.0`, [], deps, contextOf(from)), deps, contextOf(from))
    expect(read).toEqual(['ature', 'MANIFEST_TOO_LARGE'])
  })

  test('keeps its memory apart from every other plugin, whatever their names are', async () => {
    const from = world()
    from.release('1.1.0')
    const keeping = (name: string, key: string, seen: unknown[]): SignatureVerifier => ({
      ...unsignedArtifacts(),
      name,
      verify: async (subject, context) => {
        seen.push((await context.state.get(key))?.value)
        await context.state.put(key, name, { ifVersion: (await context.state.get(key))?.version ?? null })
        return unsignedArtifacts().verify(subject, context)
      },
    })
    const seen: unknown[] = []
    const long = 'n'.repeat(400)
    const verifiers = [keeping('a/b', 'c', seen), keeping('a', 'b/c', seen), keeping('ä"', 'k', seen), anyOf(keeping(long, 'k', seen))]
    const deps = depsOf(from, { verifiers })
    const resolved = await resolve(`${repository}:1.1.0`, [], deps, contextOf(from))
    await verify(resolved, deps, contextOf(from))
    expect(seen).toEqual([undefined, undefined, undefined, undefined])
    await verify(resolved, deps, contextOf(from))
    expect(seen.slice(4)).toEqual(['a/b', 'a', 'ä"', long])
  })
})

describe('a version source', () => {
  test('that names no version is broken, and is asked for nothing that is refused anyway', async () => {
    const from = world()
    from.release('1.1.0', { product: 'toaster' })
    let asked = 0
    const versions: VersionSource = {
      kind: 'version-source',
      name: 'test',
      spec: 0,
      version: async () => {
        asked += 1
        return 'newest'
      },
    }
    const deps = depsOf(from, { versions })
    const resolved = await resolve(`${repository}:1.1.0`, [], deps, contextOf(from))
    await expect(verify(resolved, { ...deps, product: 'sensor' }, contextOf(from))).rejects.toMatchObject({ code: 'WRONG_PRODUCT' })
    expect(asked).toBe(0)
    await expect(verify(resolved, deps, contextOf(from))).rejects.toMatchObject({ code: 'BROKEN_PLUGIN', fault: 'internal' })
  })
})

test('a registry without referrers stays one for a verifier', async () => {
  const from = world()
  from.release('1.1.0')
  const { referrers: _, ...registry } = from.registry
  const seen: boolean[] = []
  const verifier: SignatureVerifier = {
    ...unsignedArtifacts(),
    verify: async (subject, context) => {
      seen.push(context.from.referrers === undefined)
      return unsignedArtifacts().verify(subject, context)
    },
  }
  const deps = depsOf(from, { registry: registry as Registry, verifiers: [verifier] })
  await verify(await resolve(`${repository}:1.1.0`, [], deps, contextOf(from)), deps, contextOf(from))
  expect(seen).toEqual([true])
})
