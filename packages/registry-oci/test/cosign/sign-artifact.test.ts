import { createHash } from 'node:crypto'
import {
  collect,
  coreError,
  type Descriptor,
  type Digest,
  digestOf,
  mediaTypes,
  parseReference,
  type Registry,
  streamOf,
} from '@reflash/core'
import { type MemoryRegistry, memoryRegistry } from '@reflash/core/testing'
import { describe, expect, test } from 'vitest'
import { cosignVerifier } from '../../src/cosign/cosign-verifier.ts'
import { formatPayload } from '../../src/cosign/payload.ts'
import { signArtifact } from '../../src/cosign/sign-artifact.ts'
import { signatureTag } from '../../src/cosign/signature-manifest.ts'
import { type SigningKey, signingKey } from '../../src/cosign/signing-key.ts'
import {
  alice,
  bob,
  contextOf,
  edKey,
  layerJson,
  mallory,
  manifestOf,
  putSignatures,
  repository,
  rsaKey,
  scene,
  signed,
  subjectOf,
  utf8,
} from './scene.ts'

const reference = `${repository}:1.0.0`

async function read(registry: Pick<Registry, 'fetch'>, descriptor: Descriptor) {
  return JSON.parse(new TextDecoder().decode(await collect(await registry.fetch(repository, descriptor), 1_000_000)))
}

async function signers(registry: Registry, root: Descriptor, keys: readonly SigningKey[]): Promise<string> {
  const passing: string[] = []
  for (const key of keys) {
    const { checks } = await cosignVerifier({ keys: [key.publicKeyPem] }).verify(subjectOf(root), contextOf(registry))
    passing.push(checks.some(({ status }) => status === 'failed' || status === 'inconclusive') ? 'no' : 'yes')
  }
  return passing.join(' ')
}

describe('signArtifact', () => {
  test('stores a signature that the verifier passes, in the form that cosign writes', async () => {
    const { registry, manifest } = await scene()
    const made = await signArtifact(registry, reference, alice)
    expect(made).toMatchObject({
      added: true,
      reference: `${repository}:${signatureTag(manifest.digest)}`,
      subject: { digest: manifest.digest },
    })
    expect(await signers(registry, manifest, [alice, bob])).toBe('yes no')

    const signatures = await read(registry, await registry.resolve(made.reference))
    expect(Object.keys(signatures)).toEqual(['schemaVersion', 'mediaType', 'config', 'layers'])
    expect(signatures.mediaType).toBe(mediaTypes.manifest)
    expect(signatures.layers[0]).toMatchObject({
      mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
      digest: digestOf(formatPayload({ digest: manifest.digest, dockerReference: repository })),
    })
    const config = await read(registry, signatures.config)
    expect(signatures.config).toMatchObject({ mediaType: 'application/vnd.oci.image.config.v1+json', size: 233 })
    expect(config.rootfs).toEqual({ type: 'layers', diff_ids: [signatures.layers[0].digest] })
  })

  test.each([
    ['RSA', () => rsaKey(2048)],
    ['Ed25519', edKey],
  ])('signs with a key of %s', async (_, make) => {
    const { registry, manifest } = await scene()
    const key = signingKey(make())
    await signArtifact(registry, reference, key)
    expect(await signers(registry, manifest, [key])).toBe('yes')
  })

  test('signs an index, which covers the manifests it lists', async () => {
    const registry = memoryRegistry()
    const { manifest } = registry.addArtifact(repository, { content: utf8('firmware') })
    const root = registry.addIndex(repository, { manifests: [manifest], tag: '1.0.0' })
    await signArtifact(registry, reference, alice)
    const result = await cosignVerifier({ keys: [alice.publicKeyPem] }).verify(subjectOf(root, manifest), contextOf(registry))
    expect(result).toMatchObject({ covers: 'root', signer: { identity: alice.identity } })
  })

  test('adds to the signatures that are there, and touches none of them', async () => {
    const { registry, manifest } = await scene()
    const foreign = {
      ...(layerJson(registry, await signed(mallory, manifest.digest)) as object),
      annotations: { 'dev.sigstore.cosign/bundle': '{}' },
    }
    const first = { ...(manifestOf([foreign]) as object), annotations: { kept: 'yes' } }
    registry.addContent(repository, 'x/y', utf8('{}'))
    await putSignatures(registry, manifest.digest, first)
    await signArtifact(registry, reference, alice)
    await signArtifact(registry, reference, bob)
    expect(await signers(registry, manifest, [alice, bob])).toBe('yes yes')
    const signatures = await read(registry, await registry.resolve(`${repository}:${signatureTag(manifest.digest)}`))
    expect(signatures.layers.length).toBe(3)
    expect(signatures.layers[0]).toEqual(foreign)
    expect(signatures.annotations).toEqual({ kept: 'yes' })
    expect((await read(registry, signatures.config)).rootfs.diff_ids).toEqual(signatures.layers.map(({ digest }: Descriptor) => digest))
  })

  test('adds nothing where the same key has signed the same claims', async () => {
    const { registry } = await scene()
    const first = await signArtifact(registry, reference, alice)
    const pushes = registry.calls.filter((call) => call.startsWith('push')).length
    expect(await signArtifact(registry, reference, alice)).toEqual({ ...first, added: false })
    expect(registry.calls.filter((call) => call.startsWith('push')).length).toBe(pushes)
    expect((await signArtifact(registry, reference, alice, { optional: { stage: 'qa' } })).added).toBe(true)
  })

  test('adds a good signature where only a broken one claims to be there', async () => {
    const { registry, manifest } = await scene()
    const payload = formatPayload({ digest: manifest.digest, dockerReference: repository })
    registry.addContent(repository, 'x/y', utf8('{}'))
    await putSignatures(registry, manifest.digest, manifestOf([layerJson(registry, { payload, signature: await mallory.sign(payload) })]))
    expect((await signArtifact(registry, reference, alice)).added).toBe(true)
    expect(await signers(registry, manifest, [alice])).toBe('yes')
  })

  test('signs what was tagged when it asked, by digest, even if the tag moves meanwhile', async () => {
    const { registry, manifest } = await scene()
    const { manifest: evil } = registry.addArtifact(repository, { content: utf8('evil') })
    const moving: SigningKey = {
      ...alice,
      sign: async (payload) => {
        await registry.tag(evil, reference)
        return alice.sign(payload)
      },
    }
    await signArtifact(registry, reference, moving)
    expect(await signers(registry, manifest, [alice])).toBe('yes')
    expect(await signers(registry, evil, [alice])).toBe('no')
  })

  test('refuses to sign content that does not have the digest that was asked for', async () => {
    const { registry, manifest } = await scene()
    const evil = utf8('evil'.padEnd(manifest.size))
    registry.replace(repository, manifest.digest, evil)
    await expect(signArtifact(registry, `${repository}@${manifest.digest}`, alice)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    const lying: Registry = {
      ...registry,
      resolve: async () => ({ mediaType: mediaTypes.manifest, digest: digestOf(evil), size: evil.length }),
    }
    await expect(signArtifact(lying, `${repository}@${manifest.digest}`, alice)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  test('overwrites nothing that is no signature manifest', async () => {
    const { registry, manifest } = await scene()
    const other = await putSignatures(registry, manifest.digest, { schemaVersion: 2, manifests: [] }, mediaTypes.index)
    await expect(signArtifact(registry, reference, alice)).rejects.toMatchObject({ code: 'SIGNATURE_TAG_OCCUPIED', fault: 'invalid' })
    expect((await registry.resolve(`${repository}:${signatureTag(manifest.digest)}`)).digest).toBe(other.digest)
  })

  test('adds no signature to an image that lies under the tag of signatures', async () => {
    const { registry, manifest } = await scene()
    await registry.tag(manifest, `${repository}:${signatureTag(manifest.digest)}`)
    await expect(signArtifact(registry, reference, alice)).rejects.toMatchObject({ code: 'SIGNATURE_TAG_OCCUPIED' })
  })

  test('adds no signature that a verifier would not try', async () => {
    const { registry, manifest } = await scene()
    registry.addContent(repository, 'x/y', utf8('{}'))
    const one = layerJson(registry, await signed(mallory, manifest.digest))
    await putSignatures(registry, manifest.digest, manifestOf(Array.from({ length: 31 }, () => one)))
    expect((await signArtifact(registry, reference, alice)).added).toBe(true)
    expect(await signers(registry, manifest, [alice])).toBe('yes')
    await expect(signArtifact(registry, reference, bob)).rejects.toMatchObject({ code: 'SIGNATURES_FULL', fault: 'invalid' })
  })

  test('writes again where another signer replaced the signature at the same time', async () => {
    const { registry, manifest } = await scene()
    const other = layerJson(registry, await signed(bob, manifest.digest))
    registry.addContent(repository, 'x/y', utf8('{}'))
    await signArtifact(
      racing(registry, 1, () => putSignatures(registry, manifest.digest, manifestOf([other]))),
      reference,
      alice,
    )
    expect(await signers(registry, manifest, [alice, bob])).toBe('yes yes')
  })

  test('gives up after five lost races, and says so', async () => {
    const { registry, manifest } = await scene()
    const lost = racing(registry, 99, () => putSignatures(registry, manifest.digest, manifestOf([])))
    await expect(signArtifact(lost, reference, alice)).rejects.toMatchObject({ code: 'SIGNATURE_LOST', fault: 'unavailable' })
    expect(registry.calls.filter((call) => call.startsWith('tag ') && call.includes('.sig')).length).toBe(5 + 5)
  })

  test('refuses a key whose signature its own public key does not verify, and pushes nothing', async () => {
    const { registry } = await scene()
    await expect(signArtifact(registry, reference, { ...alice, sign: bob.sign })).rejects.toMatchObject({ code: 'SIGNING_KEY_MISMATCH' })
    expect(registry.calls.filter((call) => call.startsWith('push'))).toEqual([])
  })

  test.each([
    ['a digest', `fw.test/app@sha256:${'0'.repeat(64)}`],
    ['white space', 'fw.test/app x'],
    ['capitals in the repository', 'fw.test/App'],
    ['nothing', ''],
    ['a path that is too long', `fw.test/${'a'.repeat(250)}`],
    ['a layout', 'oci:/home/me/layout'],
  ])('refuses %s as dockerReference', async (_, dockerReference) => {
    const { registry } = await scene()
    await expect(signArtifact(registry, reference, alice, { dockerReference })).rejects.toMatchObject({ code: 'SIGNING_OPTIONS_INVALID' })
    expect(registry.calls).toEqual([])
  })

  test('refuses claims that no verifier would read', async () => {
    const { registry } = await scene()
    await expect(signArtifact(registry, reference, alice, { optional: { a: 'x'.repeat(65_536) } })).rejects.toMatchObject({
      code: 'SIGNING_OPTIONS_INVALID',
    })
  })

  test('signs the repository without its tag, the reference that is given, and for a layout no path of this machine', async () => {
    const claimed = async (registry: MemoryRegistry, name: string, options = {}) => {
      const { manifest } = registry.addArtifact(name, { content: utf8('firmware'), tag: '1.0.0' })
      let payload = ''
      const watching: SigningKey = {
        ...alice,
        sign: (bytes) => {
          payload = new TextDecoder().decode(bytes)
          return alice.sign(bytes)
        },
      }
      await signArtifact(registry, `${name}@${manifest.digest}`, watching, options)
      return JSON.parse(payload).critical.identity['docker-reference']
    }
    expect(await claimed(memoryRegistry(), '127.0.0.1:5000/fw/app')).toBe('127.0.0.1:5000/fw/app')
    expect(await claimed(memoryRegistry(), repository, { dockerReference: 'fw.test/app:1.0.0' })).toBe('fw.test/app:1.0.0')
    expect(await claimed(memoryRegistry(), 'oci:/home/me/layout')).toBe('localhost/oci-layout')
  })

  test('says that a registry without push cannot store signatures, that a reference names nothing, and that it was cancelled', async () => {
    const { registry } = await scene()
    const { push: _, ...readOnly } = registry
    await expect(signArtifact(readOnly, reference, alice)).rejects.toMatchObject({ code: 'SIGNING_UNSUPPORTED', fault: 'unsupported' })
    await expect(signArtifact(registry, `${repository}:2.0.0`, alice)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(signArtifact(registry, reference, alice, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
    registry.setOnline(false)
    await expect(signArtifact(registry, reference, alice)).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE', fault: 'unavailable' })
  })

  test('refuses what is neither manifest nor index, and a digest that no tag can hold', async () => {
    const { registry } = await scene()
    const content = utf8('content')
    const digest: Digest = `sha512:${createHash('sha512').update(content).digest('hex')}`
    const from = (descriptor: Descriptor): Registry => ({
      ...registry,
      resolve: async () => descriptor,
      fetch: async () => streamOf(content),
    })
    for (const descriptor of [
      { mediaType: 'application/octet-stream', digest: digestOf(content), size: content.length },
      { mediaType: mediaTypes.manifest, digest, size: content.length },
    ]) {
      await expect(signArtifact(from(descriptor), reference, alice)).rejects.toMatchObject({ code: 'SIGNING_OPTIONS_INVALID' })
    }
  })
})

/** A registry where, after each of the first `times` writes of signatures, somebody else writes too. */
function racing(registry: MemoryRegistry, times: number, other: () => Promise<unknown>): Registry {
  let left = times
  return {
    ...registry,
    tag: async (descriptor, name, options) => {
      await registry.tag(descriptor, name, options)
      if (parseReference(name).tag?.endsWith('.sig') !== true) throw coreError('INVALID_REFERENCE', 'expected the tag of signatures')
      if (left-- > 0) await other()
    },
  }
}
