import { execFileSync } from 'node:child_process'
import { digestOf, mediaTypes, parsePlatform, streamOf } from '@reflash/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ociRegistry, pushArtifact } from '../../src/index.ts'
import { all, artifactOf, descriptorOf, noise, pushSmall, read } from '../content.ts'
import { type DockerRegistry, peersAreHere, startDockerRegistry } from '../docker-registry.ts'
import { temporaryFolder } from '../temporary-folder.ts'

const created = new Date('2026-01-02T03:04:05Z')

describe.runIf(peersAreHere('docker-registry', 'skopeo'))('docker-registry, anonymous', () => {
  let peer: DockerRegistry
  const registry = ociRegistry()
  beforeAll(async () => {
    peer = await startDockerRegistry()
  })
  afterAll(async () => {
    await registry.close()
    await peer?.stop()
  })

  const skopeo = (...args: readonly string[]) => execFileSync('skopeo', args, { encoding: 'buffer', stdio: ['ignore', 'pipe', 'pipe'] })

  test('gives back byte for byte what was pushed, by tag and by digest', async () => {
    const repository = `${peer.host}/plain/roundtrip`
    const content = noise(300_000)
    const { layer, manifest, bytes } = await pushSmall(registry, repository, content)
    await registry.tag(manifest, `${repository}:1.0.0`)
    expect(await registry.resolve(`${repository}:1.0.0`)).toEqual(manifest)
    expect(await registry.resolve(`${repository}@${manifest.digest}`)).toEqual(manifest)
    expect(digestOf(await read(registry, repository, manifest))).toBe(digestOf(bytes))
    expect(digestOf(await read(registry, repository, layer))).toBe(digestOf(content))
  })

  test('serves a blob from an offset on', async () => {
    const repository = `${peer.host}/plain/range`
    const content = noise(100_000, 7)
    const { layer } = await pushSmall(registry, repository, content)
    for (const offset of [1, 65_536, 99_999, 100_000])
      expect(digestOf(await read(registry, repository, layer, offset))).toBe(digestOf(content.subarray(offset)))
  })

  test('says NOT_FOUND for a repository, a tag, a manifest and a blob that do not exist', async () => {
    const repository = `${peer.host}/plain/missing`
    const { layer } = await pushSmall(registry, repository, noise(10))
    const nowhere = `${peer.host}/no/such`
    const absent = { ...layer, digest: digestOf(noise(3)) }
    await expect(registry.resolve(`${nowhere}:1.0.0`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(registry.resolve(`${repository}:1.0.0`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(registry.resolve(`${repository}@${absent.digest}`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(registry.fetch(repository, absent)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(all(registry.tags(nowhere))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('lists every tag once', async () => {
    const repository = `${peer.host}/plain/tags`
    const { manifest } = await pushSmall(registry, repository, noise(10))
    const tags = Array.from({ length: 40 }, (_, n) => `1.${n}.0`)
    await Promise.all(tags.map((tag) => registry.tag(manifest, `${repository}:${tag}`)))
    expect((await all(registry.tags(repository))).sort()).toEqual([...tags].sort())
  })

  test('finds referrers by the tag schema, which this registry needs, also where several are pushed at once', async () => {
    const repository = `${peer.host}/plain/referrers`
    const { manifest: subject } = await pushSmall(registry, repository, noise(10))
    expect(await all(registry.referrers(repository, subject))).toEqual([])
    const types = [
      'application/vnd.example.sbom',
      'application/vnd.example.signature',
      'application/vnd.example.sbom',
      'application/vnd.example.note',
    ]
    const pushed = await Promise.all(
      types.map(async (artifactType, n) => (await pushSmall(registry, repository, noise(20 + n), { artifactType, subject })).manifest),
    )
    const found = await all(registry.referrers(repository, subject))
    expect(found.map(({ digest }) => digest).sort()).toEqual(pushed.map(({ digest }) => digest).sort())
    const sboms = await all(registry.referrers(repository, subject, { artifactType: 'application/vnd.example.sbom' }))
    expect(sboms.map(({ digest }) => digest).sort()).toEqual([pushed[0]?.digest, pushed[2]?.digest].sort())
  })

  test('takes the same blob and different tags from several pushers at once', async () => {
    const repository = `${peer.host}/plain/concurrent`
    const content = noise(500_000, 3)
    const pushers = Array.from({ length: 6 }, (_, n) => n)
    await Promise.all(
      pushers.map(async (n) => {
        const mine = ociRegistry()
        await pushArtifact(mine, `${repository}:1.0.${n}`, [{ title: 'a.bin', bytes: content }], { created })
        await mine.close()
      }),
    )
    expect((await all(registry.tags(repository))).sort()).toEqual(pushers.map((n) => `1.0.${n}`))
    expect(digestOf(await read(registry, repository, descriptorOf(content)))).toBe(digestOf(content))
  })

  test('refuses a manifest whose blobs it does not have, in the registry’s own words', async () => {
    const repository = `${peer.host}/plain/refused`
    const { descriptor, bytes } = artifactOf(descriptorOf(noise(5)))
    await expect(registry.push(repository, descriptor, () => streamOf(bytes))).rejects.toMatchObject({
      code: 'REGISTRY_REFUSED',
      message: expect.stringContaining('MANIFEST_BLOB_UNKNOWN'),
    })
  })

  test('skopeo reads the index that pushArtifact made, and copies it to a layout where we read it again', async () => {
    const repository = `${peer.host}/plain/skopeo`
    const files = ['esp32', 'esp32s3'].map((chip, n) => ({ title: `${chip}.bin`, bytes: noise(1000 + n), platform: parsePlatform(chip) }))
    const pushed = await pushArtifact(registry, `${repository}:v1.1.0`, files, { created, product: 'lamp' })
    const raw = skopeo('inspect', '--raw', '--tls-verify=false', `docker://${repository}:v1.1.0`)
    expect(digestOf(new Uint8Array(raw))).toBe(pushed.root.digest)
    expect(JSON.parse(raw.toString())).toMatchObject({
      mediaType: mediaTypes.index,
      annotations: { 'org.opencontainers.image.version': '1.1.0', 'dev.reflash.product': 'lamp' },
      manifests: [{ platform: { os: 'custom', architecture: 'esp32' } }, { platform: { os: 'custom', architecture: 'esp32s3' } }],
    })
    const layout = `${temporaryFolder()}/layout`
    skopeo('copy', '--all', '--src-tls-verify=false', `docker://${repository}:v1.1.0`, `oci:${layout}:v1.1.0`)
    const copied = await registry.resolve(`oci:${layout}:v1.1.0`)
    expect(copied.digest).toBe(pushed.root.digest)
    for (const { image } of pushed.images) expect(digestOf(await read(registry, `oci:${layout}`, image))).toBe(image.digest)
  })

  test('we read what skopeo pushed from a layout that we wrote', async () => {
    const layout = `oci:${temporaryFolder()}/layout`
    const files = ['esp32', 'esp32c3'].map((chip, n) => ({ title: `${chip}.bin`, bytes: noise(2000 + n), platform: parsePlatform(chip) }))
    const pushed = await pushArtifact(registry, `${layout}:2.0.0`, files, { created })
    const repository = `${peer.host}/plain/from-skopeo`
    skopeo('copy', '--all', '--dest-tls-verify=false', `${layout}:2.0.0`, `docker://${repository}:2.0.0`)
    expect((await registry.resolve(`${repository}:2.0.0`)).digest).toBe(pushed.root.digest)
    for (const { image } of pushed.images) expect(digestOf(await read(registry, repository, image))).toBe(image.digest)
  })
})
