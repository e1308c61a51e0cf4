import { join } from 'node:path'
import {
  annotations,
  choosePlatform,
  type Descriptor,
  firmwareArtifactType,
  mediaTypes,
  parseIndex,
  parseManifest,
  parsePlatform,
  streamOf,
} from '@reflash/core'
import { describe, expect, test } from 'vitest'
import { type ArtifactFile, ociRegistry, type PushArtifactOptions, pushArtifact } from '../src/index.ts'
import { all, noise, read } from './content.ts'
import { temporaryFolder } from './temporary-folder.ts'

const registry = ociRegistry()
const created = new Date('2026-01-02T03:04:05.678Z')
const image: ArtifactFile = { title: 'lamp.bin', bytes: noise(1000) }
const layout = () => `oci:${join(temporaryFolder(), 'layout')}`

const codeOf = (reference: string, files: readonly ArtifactFile[], options: Partial<PushArtifactOptions> = {}) =>
  pushArtifact(registry, reference, files, { created, ...options }).then(
    () => 'pushed',
    (error) => error.code,
  )

describe('pushArtifact', () => {
  test('makes one file an artifact whose own annotations say version, product and platform', async () => {
    const repository = layout()
    const file = { ...image, platform: parsePlatform('esp32s3'), mediaType: 'application/vnd.espressif.esp32.firmware.v1+binary' }
    const pushed = await pushArtifact(registry, `${repository}:v1.2.0`, [file], {
      created,
      product: 'lamp',
      annotations: { [annotations.from]: '>=1.0.0' },
    })
    expect(pushed.version).toBe('1.2.0')
    const root = await registry.resolve(`${repository}:v1.2.0`)
    expect(root.digest).toBe(pushed.root.digest)
    const manifest = parseManifest(await read(registry, repository, root), root.mediaType)
    expect(manifest.artifactType).toBe(firmwareArtifactType)
    expect(manifest.config).toMatchObject({ mediaType: mediaTypes.empty, size: 2 })
    expect(manifest.annotations).toEqual({
      'dev.reflash.from': '>=1.0.0',
      'dev.reflash.platform': 'custom/esp32s3',
      'dev.reflash.product': 'lamp',
      'org.opencontainers.image.created': '2026-01-02T03:04:05Z',
      'org.opencontainers.image.version': '1.2.0',
    })
    const [layer] = manifest.layers as [Descriptor]
    expect(layer).toMatchObject({ mediaType: file.mediaType, size: 1000, annotations: { [annotations.title]: 'lamp.bin' } })
    expect(await read(registry, repository, layer)).toEqual(image.bytes)
    expect((await read(registry, repository, manifest.config)).length).toBe(2)
  })

  test('makes several files an index by platform, each manifest with the whole story', async () => {
    const repository = layout()
    const chips = ['esp32', 'esp32s3', 'linux/arm/v7']
    const files = chips.map((chip, n) => ({ title: `image-${n}.bin`, bytes: noise(100 + n), platform: parsePlatform(chip) }))
    const { root, images } = await pushArtifact(registry, `${repository}:1.2.0_build.5`, files, { created, product: 'lamp' })
    const index = parseIndex(await read(registry, repository, root), root.mediaType)
    expect(index.annotations).toMatchObject({ [annotations.version]: '1.2.0+build.5', [annotations.product]: 'lamp' })
    for (const [n, chip] of chips.entries()) {
      const chosen = choosePlatform(index, [parsePlatform(chip)])
      expect(chosen.digest).toBe(images[n]?.manifest.digest)
      const manifest = parseManifest(await read(registry, repository, chosen), chosen.mediaType)
      expect(manifest.annotations).toMatchObject({
        [annotations.version]: '1.2.0+build.5',
        [annotations.product]: 'lamp',
        [annotations.platform]: chip.includes('/') ? chip : `custom/${chip}`,
      })
      expect(await read(registry, repository, manifest.layers[0] as Descriptor)).toEqual(files[n]?.bytes)
    }
  })

  test('makes the same digest of the same release again, whatever the order of options', async () => {
    const files = [{ ...image, open: () => streamOf(noise(1000)) } as ArtifactFile]
    const one = await pushArtifact(registry, `${layout()}:1.0.0`, files, { created, product: 'lamp', annotations: { b: '1', a: '2' } })
    const two = await pushArtifact(registry, `${layout()}:1.0.0`, [image], { annotations: { a: '2', b: '1' }, product: 'lamp', created })
    expect(two.root.digest).toBe(one.root.digest)
    const later = await pushArtifact(registry, `${layout()}:1.0.0`, [image], {
      created: new Date(0),
      product: 'lamp',
      annotations: { a: '2', b: '1' },
    })
    expect(later.root.digest).not.toBe(one.root.digest)
  })

  test('takes the version from the tag or from the caller, and refuses to invent or to contradict one', async () => {
    expect(await codeOf(`${layout()}:latest`, [image])).toBe('VERSION_MISSING')
    expect(await codeOf(`${layout()}:1.2`, [image])).toBe('VERSION_MISSING')
    expect(await codeOf(`${layout()}:latest`, [image], { version: 'newest' })).toBe('VERSION_MISSING')
    expect(await codeOf(`${layout()}:latest`, [image], { version: '1.2.3' })).toBe('pushed')
    expect(await codeOf(`${layout()}:v1.2.3`, [image], { version: '1.2.3' })).toBe('pushed')
    expect(await codeOf(`${layout()}:1.2.4`, [image], { version: '1.2.3' })).toBe('INVALID_ARTIFACT')
  })

  test('refuses, before anything is written, what makes no release', async () => {
    const repository = layout()
    const s3 = parsePlatform('esp32s3')
    const cases: [string, readonly ArtifactFile[], Partial<PushArtifactOptions>][] = [
      ['no files', [], {}],
      ['two without platforms', [image, image], {}],
      ['one of two without', [{ ...image, platform: s3 }, image], {}],
      [
        'a platform twice',
        [
          { ...image, platform: s3 },
          { title: 'b', bytes: noise(1), platform: s3 },
        ],
        {},
      ],
      ['a path as title', [{ ...image, title: '../lamp.bin' }], {}],
      ['an empty title', [{ ...image, title: '' }], {}],
      ['dots as title', [{ ...image, title: '..' }], {}],
      ['a title with a line', [{ ...image, title: 'a\nb' }], {}],
      ['a reserved annotation', [image], { annotations: { [annotations.version]: '9.9.9' } }],
      ['an empty product', [image], { product: '' }],
      ['no date', [image], { created: new Date(Number.NaN) }],
    ]
    for (const [name, files, options] of cases) expect(await codeOf(`${repository}:1.0.0`, files, options), name).toBe('INVALID_ARTIFACT')
    expect(await codeOf(`${repository}:1.0.0`, [{ ...image, platform: { os: '', architecture: 'x' } }])).toBe('INVALID_PLATFORM')
    expect(await codeOf(`${repository}:1.0.0`, [{ ...image, mediaType: 'not a type' }])).toBe('INVALID_DESCRIPTOR')
    expect(await codeOf(repository, [image])).toBe('INVALID_REFERENCE')
    await expect(all(registry.tags(repository))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('says that a registry which can only read cannot be pushed to', async () => {
    await expect(pushArtifact({}, `${layout()}:1.0.0`, [image], { created })).rejects.toMatchObject({
      code: 'PUSH_UNSUPPORTED',
      fault: 'unsupported',
    })
  })

  test('reports progress in bytes that only grows and ends at the whole, also where the registry has a file already', async () => {
    const repository = layout()
    const files = ['esp32', 'esp32s3'].map((chip) => ({ title: `${chip}.bin`, bytes: noise(100_000), platform: parsePlatform(chip) }))
    const seen: number[] = []
    const progress = (done: number, total: number) => {
      expect(total).toBe(200_000)
      seen.push(done)
    }
    await pushArtifact(registry, `${repository}:1.0.0`, files, { created, progress })
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect([seen[0], seen.at(-1)]).toEqual([0, 200_000])
  })

  test('writes the tag last, and not at all where a file changes while it is pushed', async () => {
    const repository = layout()
    let reads = 0
    const open = () => streamOf(noise(1000, ++reads))
    expect(await codeOf(`${repository}:1.0.0`, [{ title: 'a.bin', open }])).toBe('DIGEST_MISMATCH')
    expect(await all(registry.tags(repository))).toEqual([])
  })

  test('stops when the caller cancels', async () => {
    const controller = new AbortController()
    const open = async function* () {
      yield noise(10)
      controller.abort()
      yield noise(10)
    }
    expect(await codeOf(`${layout()}:1.0.0`, [{ title: 'a.bin', open }], { signal: controller.signal })).toBe('ABORTED')
  })
})
