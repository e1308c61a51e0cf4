import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { collect, digestOf, firmwareArtifactType } from '@reflash/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pushArtifact } from '../../src/artifact.ts'
import { ociRegistry } from '../../src/oci-registry.ts'
import { type DockerRegistry, peersAreHere, startDockerRegistry } from '../docker-registry.ts'
import { temporaryFolder } from '../temporary-folder.ts'

/** A peer that `.ci/interop` has installed, as a function that runs it and returns what it prints. */
function peer(variable: string): ((...args: readonly string[]) => string) | undefined {
  const path = process.env[variable]
  if (path === undefined || !existsSync(path)) {
    console.warn(`SKIPPED: expected an executable in ${variable}, found ${path ?? 'none'}; run .ci/interop, which installs it`)
    return undefined
  }
  return (...args) => execFileSync(path, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}

const oras = peer('REFLASH_PEER_ORAS_GO')
const crane = peer('REFLASH_PEER_CRANE')
const registryIsHere = peersAreHere('docker-registry')
const registry = ociRegistry()
const call = { signal: new AbortController().signal }
const created = new Date('2026-01-01T00:00:00Z')
const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7) % 251)
let docker: DockerRegistry

beforeAll(async () => {
  if (registryIsHere) docker = await startDockerRegistry()
})

afterAll(async () => {
  await registry.close()
  if (registryIsHere) await docker.stop()
})

/** An index of two platforms, pushed by us. */
async function twoPlatforms(repository: string) {
  const files = ['esp32', 'esp32s3'].map((architecture) => ({
    title: `${architecture}.bin`,
    bytes: Uint8Array.from([...bytes, architecture.length]),
    platform: { os: 'custom', architecture },
  }))
  return await pushArtifact(registry, `${repository}:1.0.0`, files, { created, product: 'lamp' })
}

describe.skipIf(oras === undefined || !registryIsHere)('ORAS', () => {
  test('reads the file of an artifact that we pushed', async () => {
    const repository = `${docker.host}/ours/one`
    const { root } = await pushArtifact(registry, `${repository}:1.0.0`, [{ title: 'firmware.bin', bytes }], { created })
    const folder = temporaryFolder()
    expect(oras?.('pull', `${repository}:1.0.0`, folder)).toBe(root.digest)
    expect(digestOf(readFileSync(join(folder, 'firmware.bin')))).toBe(digestOf(bytes))
  })

  test('reads every file of an index that we pushed', async () => {
    const { root } = await twoPlatforms(`${docker.host}/ours/two`)
    const folder = temporaryFolder()
    expect(oras?.('pull', `${docker.host}/ours/two:1.0.0`, folder)).toBe(root.digest)
    expect(readFileSync(join(folder, 'esp32.bin')).length).toBe(bytes.length + 1)
    expect(readFileSync(join(folder, 'esp32s3.bin')).length).toBe(bytes.length + 1)
  })

  test('copies a layout that we wrote into a registry, digest for digest', async () => {
    const layout = join(temporaryFolder(), 'layout')
    const { root } = await twoPlatforms(`oci:${layout}`)
    const reference = `${docker.host}/copied/two:1.0.0`
    expect(oras?.('copy', layout, '1.0.0', reference)).toBe(root.digest)
    expect(await registry.resolve(reference, call)).toMatchObject({ digest: root.digest })
  })

  test('pushes a file that we read byte for byte, without a version in what could be signed', async () => {
    const file = join(temporaryFolder(), 'firmware.bin')
    writeFileSync(file, bytes)
    const reference = `${docker.host}/theirs/one:1.0.0`
    const digest = oras?.('push', reference, firmwareArtifactType, file)
    const root = await registry.resolve(reference, call)
    expect(root.digest).toBe(digest)
    const repository = `${docker.host}/theirs/one`
    const manifest = JSON.parse(new TextDecoder().decode(await collect(await registry.fetch(repository, root, call), 1_000_000)))
    expect(manifest.annotations?.['org.opencontainers.image.version']).toBeUndefined()
    const image = await collect(await registry.fetch(repository, manifest.layers[0], call), 1_000_000)
    expect(digestOf(image)).toBe(digestOf(bytes))
  })
})

describe.skipIf(crane === undefined || !registryIsHere)('crane', () => {
  test('resolves, lists and copies an index that we pushed, digest for digest', async () => {
    const repository = `${docker.host}/ours/crane`
    const { root, images } = await twoPlatforms(repository)
    expect(crane?.('digest', `${repository}:1.0.0`)).toBe(root.digest)
    expect(crane?.('ls', repository)).toBe('1.0.0')
    crane?.('copy', `${repository}:1.0.0`, `${docker.host}/copied/crane:1.0.0`)
    expect(await registry.resolve(`${docker.host}/copied/crane:1.0.0`, call)).toMatchObject({ digest: root.digest })
    for (const { manifest } of images) {
      const text = crane?.('manifest', `${docker.host}/copied/crane@${manifest.digest}`) ?? ''
      expect(JSON.parse(text).annotations['dev.reflash.product']).toBe('lamp')
    }
  })
})
