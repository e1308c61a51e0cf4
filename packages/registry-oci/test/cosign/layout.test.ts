import { cpSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { pushArtifact } from '../../src/artifact.ts'
import { cosignVerifier } from '../../src/cosign/cosign-verifier.ts'
import { signArtifact } from '../../src/cosign/sign-artifact.ts'
import { type OciRegistry, ociRegistry } from '../../src/oci-registry.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { alice, bob, contextOf, mallory, utf8 } from './scene.ts'

function registryOf(): OciRegistry {
  const registry = ociRegistry()
  onTestFinished(() => registry.close())
  return registry
}

const files = [
  { title: 'a.bin', bytes: utf8('image a'), platform: { os: 'custom', architecture: 'esp32' } },
  { title: 'b.bin', bytes: utf8('image b'), platform: { os: 'custom', architecture: 'esp32s3' } },
]
const created = new Date('2026-01-01T00:00:00Z')

async function verify(registry: OciRegistry, repository: string, keys: readonly string[], threshold = 1) {
  const reference = `${repository}:1.0.0`
  const root = await registry.resolve(reference)
  const { checks } = await cosignVerifier({ keys, threshold }).verify({ repository, reference, root, manifest: root }, contextOf(registry))
  return checks.find(({ status }) => status === 'failed' || status === 'inconclusive')?.name ?? 'passed'
}

describe('an OCI image layout on disk', () => {
  test('keeps an index and its signatures, which pass there and in a copy of the folder', async () => {
    const registry = registryOf()
    const folder = temporaryFolder()
    await pushArtifact(registry, `oci:${folder}/one:1.0.0`, files, { created })
    expect(await verify(registry, `oci:${folder}/one`, [alice.publicKeyPem])).toBe('SIGNATURE_NOT_FOUND')
    const made = await signArtifact(registry, `oci:${folder}/one:1.0.0`, alice)
    expect(made.subject.mediaType).toBe('application/vnd.oci.image.index.v1+json')
    expect(await verify(registry, `oci:${folder}/one`, [alice.publicKeyPem])).toBe('passed')
    expect(await verify(registry, `oci:${folder}/one`, [mallory.publicKeyPem])).toBe('SIGNATURE_OTHER_KEY')
    cpSync(`${folder}/one`, `${folder}/two`, { recursive: true })
    expect(await verify(registry, `oci:${folder}/two`, [alice.publicKeyPem])).toBe('passed')
    expect((await signArtifact(registry, `oci:${folder}/two:1.0.0`, alice)).added).toBe(false)
  })

  test('keeps the signatures of signers who come one after the other', async () => {
    const registry = registryOf()
    const repository = `oci:${temporaryFolder()}/fw`
    await pushArtifact(registry, `${repository}:1.0.0`, files.slice(0, 1), { created })
    for (const key of [alice, bob, alice]) await signArtifact(registry, `${repository}:1.0.0`, key)
    expect(await verify(registry, repository, [alice.publicKeyPem, bob.publicKeyPem], 2)).toBe('passed')
    const root = await registry.resolve(`${repository}:1.0.0`)
    const { added } = await signArtifact(registry, `${repository}@${root.digest}`, bob)
    expect(added).toBe(false)
  })

  test('says that another release under the tag is not signed', async () => {
    const registry = registryOf()
    const repository = `oci:${temporaryFolder()}/fw`
    await pushArtifact(registry, `${repository}:1.0.0`, files.slice(0, 1), { created })
    await signArtifact(registry, `${repository}:1.0.0`, alice)
    await pushArtifact(registry, `${repository}:1.0.0`, files.slice(1), { created })
    expect(await verify(registry, repository, [alice.publicKeyPem])).toBe('SIGNATURE_NOT_FOUND')
  })
})
