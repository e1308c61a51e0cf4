import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { collect, type Descriptor, digestOf, mediaTypes, OtaError, streamOf } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type OciRegistry, ociRegistry } from '../../src/index.ts'
import { all, artifactOf, bytesOf, descriptorOf, noise, pushSmall, read } from '../content.ts'
import { vectors } from '../cosign/vectors.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const registry: OciRegistry = ociRegistry()
const content = noise(300_000)

async function smallLayout(): Promise<{ folder: string; repository: string; layer: Descriptor; manifest: Descriptor; bytes: Uint8Array }> {
  const folder = join(temporaryFolder(), 'layout')
  const repository = `oci:${folder}`
  const pushed = await pushSmall(registry, repository, content)
  await registry.tag(pushed.manifest, `${repository}:1.0.0`)
  return { folder, repository, ...pushed }
}

const blobPath = (folder: string, { digest }: Descriptor) => join(folder, 'blobs', ...digest.split(':'))
const indexJson = (folder: string) => JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'))

describe('a layout that we write', () => {
  test('gives back by tag and by digest what was pushed, whole and from an offset on', async () => {
    const { repository, layer, manifest, bytes } = await smallLayout()
    expect(await registry.resolve(`${repository}:1.0.0`)).toEqual(manifest)
    expect(await registry.resolve(`${repository}@${manifest.digest}`)).toEqual(manifest)
    expect(digestOf(await read(registry, repository, manifest))).toBe(digestOf(bytes))
    for (const offset of [0, 1, 262_144, 299_999, 300_000]) {
      expect(digestOf(await read(registry, repository, layer, offset))).toBe(digestOf(content.subarray(offset)))
    }
  })

  test('has the files of the specification and leaves nothing else behind', async () => {
    const { folder, manifest } = await smallLayout()
    expect(JSON.parse(readFileSync(join(folder, 'oci-layout'), 'utf8'))).toEqual({ imageLayoutVersion: '1.0.0' })
    expect(indexJson(folder)).toEqual({
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [
        { ...manifest, artifactType: 'application/vnd.example.firmware', annotations: { 'org.opencontainers.image.ref.name': '1.0.0' } },
      ],
    })
    expect(readdirSync(folder).sort()).toEqual(['blobs', 'index.json', 'oci-layout'])
    for (const name of readdirSync(join(folder, 'blobs', 'sha256'))) {
      expect(digestOf(readFileSync(join(folder, 'blobs', 'sha256', name)))).toBe(`sha256:${name}`)
    }
  })

  test('keeps other entries and fields it does not know, and moves a tag to its new manifest', async () => {
    const { folder, repository, manifest } = await smallLayout()
    const foreign = { ...manifest, 'x-unknown': 1, annotations: { 'org.opencontainers.image.ref.name': 'docker.io/other/name:2' } }
    writeFileSync(
      join(folder, 'index.json'),
      JSON.stringify({ ...indexJson(folder), 'x-top': 2, manifests: [...indexJson(folder).manifests, foreign] }),
    )
    const next = await pushSmall(registry, repository, noise(10))
    await registry.tag(next.manifest, `${repository}:1.0.0`)
    const after = indexJson(folder)
    expect(after['x-top']).toBe(2)
    expect(after.manifests).toContainEqual(foreign)
    expect(after.manifests.length).toBe(2)
    expect(await registry.resolve(`${repository}:1.0.0`)).toEqual(next.manifest)
    expect(await all(registry.tags(repository))).toEqual(['1.0.0'])
  })

  test('never gets a blob that is not what its descriptor says', async () => {
    const { folder, repository } = await smallLayout()
    const wanted = descriptorOf(noise(100, 9))
    for (const [bytes, code] of [
      [noise(100, 8), 'DIGEST_MISMATCH'],
      [noise(99, 9), 'TRUNCATED'],
      [noise(101, 9), 'TRAILING_BYTES'],
    ] as const) {
      await expect(registry.push(repository, wanted, () => streamOf(bytes))).rejects.toMatchObject({ code })
    }
    expect(existsSync(blobPath(folder, wanted))).toBe(false)
    expect(readdirSync(folder).sort()).toEqual(['blobs', 'index.json', 'oci-layout'])
  })

  test('is mended by pushing again what was damaged', async () => {
    const { folder, repository, layer } = await smallLayout()
    writeFileSync(blobPath(folder, layer), noise(300_000, 5))
    await registry.push(repository, layer, () => streamOf(content))
    expect(digestOf(await read(registry, repository, layer))).toBe(layer.digest)
  })

  test('is not made in a directory that holds other things', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'diary.txt'), 'dear')
    await expect(pushSmall(registry, `oci:${folder}`, content)).rejects.toMatchObject({ code: 'INVALID_LAYOUT' })
    expect(readdirSync(folder)).toEqual(['diary.txt'])
  })

  test('takes a tag only for a manifest that it holds', async () => {
    const { repository, layer } = await smallLayout()
    const absent = artifactOf(descriptorOf(noise(1))).descriptor
    await expect(registry.tag(absent, `${repository}:2.0.0`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(registry.tag(layer, `${repository}:2.0.0`)).rejects.toMatchObject({ fault: 'invalid' })
    await expect(registry.tag(absent, repository)).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    expect(await all(registry.tags(repository))).toEqual(['1.0.0'])
  })
})

describe('referrers in a layout', () => {
  test('are found by subject and type, and damaged ones passed over', async () => {
    const { folder, repository, manifest: subject } = await smallLayout()
    const sbom = await pushSmall(registry, repository, noise(1), { artifactType: 'application/vnd.example.sbom', subject })
    const note = await pushSmall(registry, repository, noise(2), {
      artifactType: 'application/vnd.example.note',
      subject,
      annotations: { a: 'b' },
    })
    const broken = await pushSmall(registry, repository, noise(3), { artifactType: 'application/vnd.example.note', subject })
    await registry.push(repository, note.manifest, () => streamOf(note.bytes))
    truncateSync(blobPath(folder, broken.manifest), 10)
    expect(await all(registry.referrers(repository, subject))).toEqual([
      { ...sbom.manifest, artifactType: 'application/vnd.example.sbom' },
      { ...note.manifest, artifactType: 'application/vnd.example.note', annotations: { a: 'b' } },
    ])
    const notes = await all(registry.referrers(repository, subject, { artifactType: 'application/vnd.example.note' }))
    expect(notes.map(({ digest }) => digest)).toEqual([note.manifest.digest])
    expect(await all(registry.referrers(repository, sbom.manifest))).toEqual([])
  })
})

describe('a layout that we read', () => {
  test('says what is missing: directory, tag, digest, blob', async () => {
    const { folder, repository, layer, manifest } = await smallLayout()
    await expect(registry.resolve(`${repository}-gone:1.0.0`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(registry.resolve(`${repository}:2.0.0`)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('1.0.0'),
    })
    await expect(registry.resolve(`${repository}@${digestOf(noise(7))}`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(registry.resolve(`${repository}@${layer.digest}`)).rejects.toMatchObject({ fault: 'invalid' })
    await expect(registry.resolve(repository)).rejects.toMatchObject({
      code: 'INVALID_REFERENCE',
      message: expect.stringContaining('1.0.0'),
    })
    rmSync(blobPath(folder, layer))
    await expect(registry.fetch(repository, layer)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(registry.fetch(repository, manifest, { offset: -1 })).rejects.toMatchObject({ code: 'INVALID_RANGE' })
  })

  test('never passes on damaged content whole', async () => {
    const { folder, repository, layer, manifest } = await smallLayout()
    const path = blobPath(folder, layer)
    writeFileSync(path, noise(300_000, 5))
    await expect(registry.fetch(repository, layer).then((stream) => collect(stream, layer.size))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    })
    appendFileSync(path, 'x')
    await expect(registry.fetch(repository, layer)).rejects.toMatchObject({ code: 'TRAILING_BYTES' })
    await expect(registry.fetch(repository, layer, { offset: 10 })).rejects.toMatchObject({ code: 'TRAILING_BYTES' })
    await expect(registry.fetch(repository, { ...manifest, mediaType: mediaTypes.index })).rejects.toMatchObject({ fault: 'invalid' })
    rmSync(path)
    mkdirSync(path)
    await expect(registry.fetch(repository, layer)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('does not hang on a pipe in the place of a blob', async () => {
    const { folder, repository, layer } = await smallLayout()
    rmSync(blobPath(folder, layer))
    execFileSync('mkfifo', [blobPath(folder, layer)])
    await expect(registry.fetch(repository, layer)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('refuses a tag that stands twice for different manifests', async () => {
    const { folder, repository, manifest } = await smallLayout()
    const { manifest: other } = await pushSmall(registry, repository, noise(3))
    const [entry] = indexJson(folder).manifests
    writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry, { ...entry, ...other }] }))
    await expect(registry.resolve(`${repository}:1.0.0`)).rejects.toMatchObject({
      code: 'INVALID_LAYOUT',
      message: expect.stringMatching(new RegExp(`${manifest.digest}.*${other.digest}`)),
    })
  })

  test('lists only names that can be asked for as tags', async () => {
    const { folder, repository, manifest } = await smallLayout()
    const names = ['1.0.0', 'docker.io/library/x:1', '', 'a b', '1.0.0', 'latest']
    const manifests = names.map((name) => ({ ...manifest, annotations: { 'org.opencontainers.image.ref.name': name } }))
    writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [...manifests, manifest] }))
    expect(await all(registry.tags(repository))).toEqual(['1.0.0', 'latest'])
  })

  test('answers to an aborted caller with ABORTED', async () => {
    const { repository, layer, manifest } = await smallLayout()
    const signal = AbortSignal.abort()
    for (const call of [
      () => registry.resolve(`${repository}:1.0.0`, { signal }),
      () => registry.fetch(repository, layer, { signal }),
      () => all(registry.tags(repository, { signal })),
      () => all(registry.referrers(repository, manifest, { signal })),
      () => registry.push(repository, layer, () => streamOf(content), { signal }),
      () => registry.tag(manifest, `${repository}:2.0.0`, { signal }),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'ABORTED' })
    }
  })

  test('lets nothing but refusals through, however its files are damaged', async () => {
    const { folder, repository, manifest } = await smallLayout()
    const index = readFileSync(join(folder, 'index.json'), 'utf8')
    const marker = readFileSync(join(folder, 'oci-layout'), 'utf8')
    const values = fc.constantFrom(
      'null',
      '[]',
      '{}',
      '""',
      '"x"',
      '-1',
      '1e99',
      '"1.0.0"',
      '{"a":1}',
      '"sha256:00"',
      '[null]',
      '\u0000',
      ',',
    )
    const cut = fc.tuple(fc.nat({ max: index.length }), fc.nat({ max: 60 }), values)
    await fc.assert(
      fc.asyncProperty(fc.boolean(), cut, async (inMarker, [at, length, value]) => {
        const text = inMarker ? marker : index
        const damaged = text.slice(0, at) + value + text.slice(at + length)
        writeFileSync(join(folder, 'index.json'), inMarker ? index : damaged)
        writeFileSync(join(folder, 'oci-layout'), inMarker ? damaged : marker)
        for (const work of [
          () => registry.resolve(`${repository}:1.0.0`),
          () => registry.resolve(`${repository}@${manifest.digest}`),
          () => all(registry.tags(repository)),
          () => all(registry.referrers(repository, manifest)),
        ]) {
          await work().catch((error: unknown) => {
            expect(error).toBeInstanceOf(OtaError)
            expect(['invalid', 'rejected']).toContain((error as OtaError).fault)
          })
        }
      }),
      { numRuns: 100, seed: 11 },
    )
  })
})

const layouts = vectors('oci')

describe.skipIf(layouts === undefined)('layouts of other tools', () => {
  for (const [name, layerType] of [
    ['lay-artifact', 'application/vnd.example.firmware.esp32'],
    ['lay-image', 'application/vnd.oci.image.layer.v1.tar+gzip'],
  ] as const) {
    test(`${name} is read whole, with and without a mediaType field in its manifest`, async () => {
      const repository = `oci:${layouts?.path}/${name}`
      expect(await all(registry.tags(repository))).toEqual(['v1.0.0'])
      const descriptor = await registry.resolve(`${repository}:v1.0.0`)
      expect(await registry.resolve(`${repository}@${descriptor.digest}`)).toEqual(descriptor)
      const manifest = JSON.parse(new TextDecoder().decode(await read(registry, repository, descriptor)))
      const [layer] = manifest.layers as [Descriptor]
      expect(layer.mediaType).toBe(layerType)
      expect(digestOf(await read(registry, repository, layer))).toBe(layer.digest)
    })
  }
})

test('an index that names its children is read, and they are found by digest', async () => {
  const { repository, manifest } = await smallLayout()
  const bytes = bytesOf({ schemaVersion: 2, manifests: [{ ...manifest, platform: { os: 'custom', architecture: 'esp32' } }] })
  const index = descriptorOf(bytes, mediaTypes.index)
  await registry.push(repository, index, () => streamOf(bytes))
  await registry.tag(index, `${repository}:2.0.0`)
  expect(await registry.resolve(`${repository}:2.0.0`)).toEqual(index)
  expect(await registry.resolve(`${repository}@${index.digest}`)).toEqual(index)
  expect(await registry.resolve(`${repository}@${manifest.digest}`)).toEqual(manifest)
})
