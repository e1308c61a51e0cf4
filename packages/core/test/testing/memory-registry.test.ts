import { describe, expect, it } from 'vitest'
import { annotations, collect, type Descriptor, digestOf, mediaTypes, parsePlatform, streamOf } from '../../src/index.ts'
import { memoryRegistry } from '../../src/testing/index.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

function described(mediaType: string, content: Uint8Array): Descriptor {
  return { mediaType, digest: digestOf(content), size: content.length }
}

describe('memoryRegistry', () => {
  it('resolves a tag and a digest to the same manifest and serves its bytes from an offset', async () => {
    const registry = memoryRegistry()
    const { manifest, layers } = registry.addArtifact('r/fw', { content: bytes('image'), tag: '1.0.0', version: '1.0.0', product: 'lamp' })
    const byTag = await registry.resolve('r/fw:1.0.0')
    expect(byTag).toEqual({ mediaType: mediaTypes.manifest, digest: manifest.digest, size: manifest.size })
    expect(await registry.resolve(`r/fw@${manifest.digest}`)).toEqual(byTag)
    const document = JSON.parse(new TextDecoder().decode(await collect(await registry.fetch('r/fw', byTag), 10_000)))
    expect(document.annotations).toEqual({ [annotations.version]: '1.0.0', [annotations.product]: 'lamp' })
    const [layer] = layers as [Descriptor]
    expect(new TextDecoder().decode(await collect(await registry.fetch('r/fw', layer, { offset: 2 }), 10))).toBe('age')
    await expect(registry.fetch('r/fw', layer, { offset: 6 })).rejects.toMatchObject({ code: 'INVALID_RANGE' })
    expect(registry.calls).toEqual([
      'resolve r/fw:1.0.0',
      `resolve r/fw@${manifest.digest}`,
      `fetch r/fw@${manifest.digest}`,
      `fetch r/fw@${layer.digest}`,
      `fetch r/fw@${layer.digest}`,
    ])
  })

  it('keeps repositories apart and says what it does not have', async () => {
    const registry = memoryRegistry()
    const { manifest, layers } = registry.addArtifact('r/one', { content: bytes('x'), tag: 'a' })
    const notFound = { code: 'NOT_FOUND', fault: 'invalid' }
    for (const reference of ['r/two:a', 'r/one:b', 'r/one', `r/two@${manifest.digest}`, `r/one@${layers[0]?.digest}`]) {
      await expect(registry.resolve(reference), reference).rejects.toMatchObject(notFound)
    }
    await expect(registry.fetch('r/two', manifest)).rejects.toMatchObject(notFound)
    await expect(all(registry.tags('r/two'))).rejects.toMatchObject(notFound)
    registry.untag('r/one', 'a')
    await expect(registry.resolve('r/one:a')).rejects.toMatchObject(notFound)
  })

  it('lists tags and moves them', async () => {
    const registry = memoryRegistry()
    const old = registry.addArtifact('r/fw', { content: bytes('old'), tag: 'latest' }).manifest
    const young = registry.addArtifact('r/fw', { content: bytes('young') }).manifest
    await registry.tag(young, 'r/fw:latest')
    await registry.tag(old, 'r/fw:1.0.0')
    expect((await all(registry.tags('r/fw'))).sort()).toEqual(['1.0.0', 'latest'])
    expect((await registry.resolve('r/fw:latest')).digest).toBe(young.digest)
    await expect(registry.tag({ ...old, digest: digestOf(bytes('none')) }, 'r/fw:x')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(registry.tag(old, 'r/fw')).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
  })

  it('offers an index whose entries name their platforms', async () => {
    const registry = memoryRegistry()
    const entries = ['esp32', 'esp32s3'].map(
      (chip) => registry.addArtifact('r/fw', { content: bytes(chip), platform: parsePlatform(chip), version: '1.0.0' }).manifest,
    )
    const index = registry.addIndex('r/fw', { manifests: entries, tag: '1.0.0', annotations: { a: 'b' } })
    expect(await registry.resolve('r/fw:1.0.0')).toEqual(index)
    const document = JSON.parse(new TextDecoder().decode(await collect(await registry.fetch('r/fw', index), 10_000)))
    expect(document.manifests.map((entry: Descriptor) => entry.platform?.architecture)).toEqual(['esp32', 'esp32s3'])
  })

  it('finds referrers by subject and type, and takes the config type where there is no artifact type', async () => {
    const registry = memoryRegistry()
    const { manifest: subject } = registry.addArtifact('r/fw', { content: bytes('image') })
    const { manifest: signature } = registry.addArtifact('r/fw', {
      content: bytes('s'),
      subject,
      artifactType: 'a/sig',
      annotations: { k: 'v' },
    })
    const { layers } = registry.addArtifact('r/fw', { content: bytes('config') })
    const old = registry.addContent(
      'r/fw',
      mediaTypes.manifest,
      bytes(JSON.stringify({ schemaVersion: 2, config: { ...layers[0], mediaType: 'a/config' }, layers: [], subject })),
    )
    registry.addContent('r/fw', mediaTypes.manifest, bytes('not a manifest'))
    expect((await all(registry.referrers('r/fw', subject))).map(({ digest }) => digest).sort()).toEqual(
      [old.digest, signature.digest].sort(),
    )
    expect(await all(registry.referrers('r/fw', subject, { artifactType: 'a/config' }))).toMatchObject([{ digest: old.digest }])
    expect(await all(registry.referrers('r/fw', subject, { artifactType: 'a/sig' }))).toEqual([{ ...signature, annotations: { k: 'v' } }])
    expect(await all(registry.referrers('r/other', subject))).toEqual([])
  })

  it('takes pushed content only when it is what its descriptor says and its parts are there', async () => {
    const registry = memoryRegistry()
    const blob = bytes('blob')
    const layer = described('a/b', blob)
    const manifest = bytes(JSON.stringify({ schemaVersion: 2, config: { ...layer, mediaType: 'a/config' }, layers: [layer] }))
    await expect(registry.push('r/fw', described(mediaTypes.manifest, manifest), () => streamOf(manifest))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await expect(registry.push('r/fw', layer, () => streamOf(bytes('blub')))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await expect(registry.push('r/fw', layer, () => streamOf(bytes('blobs')))).rejects.toMatchObject({ code: 'TRAILING_BYTES' })
    await registry.push('r/fw', layer, () => streamOf(blob))
    await registry.push('r/fw', described(mediaTypes.manifest, manifest), () => streamOf(manifest))
    expect(await registry.resolve(`r/fw@${digestOf(manifest)}`)).toMatchObject({ size: manifest.length })
  })

  it('can be spoiled and cut off by a test', async () => {
    const registry = memoryRegistry()
    const { manifest } = registry.addArtifact('r/fw', { content: bytes('image'), tag: 'a' })
    registry.replace('r/fw', manifest.digest, bytes('evil'))
    expect(new TextDecoder().decode(await collect(await registry.fetch('r/fw', manifest), 10))).toBe('evil')
    registry.setOnline(false)
    const down = { code: 'REGISTRY_UNAVAILABLE', fault: 'unavailable' }
    await expect(registry.resolve('r/fw:a')).rejects.toMatchObject(down)
    await expect(registry.fetch('r/fw', manifest)).rejects.toMatchObject(down)
    await expect(all(registry.tags('r/fw'))).rejects.toMatchObject(down)
    registry.setOnline(true)
    await registry.resolve('r/fw:a')
  })

  it('ends a download in the middle when its signal fires', async () => {
    const registry = memoryRegistry()
    const { layers } = registry.addArtifact('r/fw', { content: new Uint8Array(200_000) })
    const controller = new AbortController()
    const read = async (): Promise<void> => {
      for await (const _ of await registry.fetch('r/fw', layers[0] as Descriptor, { signal: controller.signal })) controller.abort()
    }
    await expect(read()).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(registry.resolve('r/fw:a', { signal: controller.signal })).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
